/** One figure beside what was aimed at. */
export type Finding = {
  /** Its name in docs/revocations.md: G1, G4… */
  goal: string;
  what: string;
  /** The most that is good; null: told for its own sake. */
  most: number | null;
  found: number;
  unit: string;
};

export type Verdict = 'met' | 'missed' | '-';

/** A figure that is not a number has missed its goal. */
export function verdictOf({ most, found }: Pick<Finding, 'most' | 'found'>): Verdict {
  if (most === null) return '-';
  return found <= most ? 'met' : 'missed';
}

/** The table, as text of fixed width. */
export function tableOf(findings: Finding[]): string {
  const lines = findings.map((finding) => [
    finding.goal,
    finding.what,
    finding.most === null ? '' : `at most ${finding.most} ${finding.unit}`,
    `${round(finding.found)} ${finding.unit}`,
    verdictOf(finding),
  ]);
  const all = [['goal', 'what', 'aim', 'found', 'verdict'], ...lines];
  const widths = all[0]?.map((_, at) => Math.max(...all.map((cells) => cells[at]?.length ?? 0))) ?? [];
  return all
    .map((cells) =>
      cells
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Three digits tell enough, and of counts all are wanted. */
function round(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}
