import type { Figures } from './load.ts';

/** The figures of one subject at one number of connections: medians of the rounds. */
export type Line = Figures & {
  subject: string;
  connections: number;
  /** CPU time of the server per request; NaN if unknown. */
  cpuMicroseconds: number;
  /** Instructions of the server's process per request; NaN if they cannot be counted. */
  instructions: number;
  residentMb: number;
  /** Against the floor: median of the rounds' own ratios. 1 is as good as the floor; a p99 ratio above 1 is worse. */
  rateRatio: number;
  cpuRatio: number;
  instructionRatio: number;
  p99Ratio: number;
};

/** One run, as it is written to a file. */
export type Report = {
  at: string;
  machine: Record<string, string>;
  settings: Record<string, string>;
  rounds: number;
  secondsARound: number;
  lines: Line[];
};

const COLUMNS: [title: string, width: number, cell: (line: Line) => string][] = [
  ['conn', 4, (line) => String(line.connections)],
  ['req/s', 7, (line) => line.perSecond.toFixed(0)],
  ['p50 ms', 7, (line) => line.p50.toFixed(2)],
  ['p97.5', 7, (line) => line.p97_5.toFixed(2)],
  ['p99', 7, (line) => line.p99.toFixed(2)],
  ['errors', 6, (line) => String(line.errors)],
  ['CPU µs', 7, (line) => known(line.cpuMicroseconds, 1)],
  ['k instr', 7, (line) => known(line.instructions / 1000, 0)],
  ['RSS MB', 6, (line) => known(line.residentMb, 0)],
  ['rate : c', 8, (line) => known(line.rateRatio, 2)],
  ['CPU : c', 7, (line) => known(line.cpuRatio, 2)],
  ['instr : c', 9, (line) => known(line.instructionRatio, 2)],
  ['p99 : c', 7, (line) => known(line.p99Ratio, 2)],
];

/** The table, as text of fixed width. */
export function tableOf(lines: Line[]): string {
  const nameWidth = Math.max(...lines.map((line) => line.subject.length));
  const rows = lines.map((line) => COLUMNS.map(([, width, cell]) => cell(line).padStart(width)));
  const head = COLUMNS.map(([title, width]) => title.padStart(width));
  const names = ['', ...lines.map((line) => line.subject)].map((name) => name.padEnd(nameWidth));
  return [head, ...rows].map((cells, at) => [names[at], ...cells].join('  ')).join('\n');
}

/** What changed since an older run, as ratios of new to old. */
export function changesOf(lines: Line[], older: Line[]): string {
  const changes = lines.flatMap((line) => {
    const before = older.find(
      ({ subject, connections }) => subject === line.subject && connections === line.connections,
    );
    if (before === undefined) return [];
    const cells = [
      ['rate', line.perSecond / before.perSecond],
      ['rate : c', line.rateRatio / before.rateRatio],
      ['CPU', line.cpuMicroseconds / before.cpuMicroseconds],
      ['instructions', line.instructions / before.instructions],
      ['p99', line.p99 / before.p99],
    ] as const;
    const name = `${line.subject} (${line.connections})`;
    return [
      `${name.padEnd(30)} ${cells.map(([title, ratio]) => `${title} ×${known(ratio, 2)}`).join('   ')}`,
    ];
  });
  return changes.join('\n');
}

/** The middle one; of an even number the upper of the two. */
export function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function known(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}
