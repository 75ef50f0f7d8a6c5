/** Writes a command's answer to stdout: as JSON for programs, or as `render` shows it to people. */
export function print<T>(
  answer: T,
  { json }: { json?: boolean | undefined },
  render: (answer: T) => string,
): void {
  process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : render(answer));
}

/** Columns for a terminal, two spaces apart. */
export function table(head: string[], rows: string[][]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...lines.map((cells) => String(cells[at]).length)));
  const line = (cells: string[]) =>
    cells
      .map((cell, at) => cell.padEnd(Number(widths[at])))
      .join('  ')
      .trimEnd();
  return `${lines.map(line).join('\n')}\n`;
}
