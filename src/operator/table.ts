import { visible, visibleJson } from './visible.ts';

/**
 * Writes a command's answer to stdout: as JSON for programs, or as `render` shows it to people.
 * @param ifLost written to stderr when the answer cannot be written, beside the reason
 */
export function print<T>(
  answer: T,
  { json }: { json?: boolean | undefined },
  render: (answer: T) => string,
  ifLost = '',
): void {
  process.stdout.write(json ? `${visibleJson(answer, 2)}\n` : render(answer), (error) => {
    if (error) process.stderr.write(ifLost);
  });
}

/** Columns for a terminal under a head, two spaces apart. */
export function table(head: string[], rows: string[][]): string {
  return aligned([head, ...rows]);
}

/** Columns for a terminal, two spaces apart, one line for each row. @param rows all with the same number of cells */
export function aligned(cells: string[][]): string {
  const rows = cells.map((row) => row.map(visible));
  const widths = rows.reduce<number[]>(
    (most, row) => row.map((cell, at) => Math.max(cell.length, most[at] ?? 0)),
    [],
  );
  const line = (row: string[]) =>
    row
      .map((cell, at) => cell.padEnd(Number(widths[at])))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

/** A line for people, beside the answer: on stderr. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
