import type { Deployment, ResourceFigures } from './machines.ts';
import type { Demand } from './plan.ts';
import type { Outcome, Scenario } from './simulate.ts';

export type Run = {
  dailyUsers: number;
  scenario: Scenario;
  k: number;
  deployment: Deployment;
  outcome: Outcome;
};

/** `bench/simulation.json`. */
export type SimulationReport = {
  /** Which measured costs were used. */
  costsAt: string;
  seed: number;
  seconds: number;
  demand: Demand;
  runs: Run[];
};

/** A table in Markdown. */
export function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Runs of one crowd, side by side. */
export function outcomesTable(runs: Run[]): string {
  const [first] = runs;
  if (first === undefined) return '';
  const cells = (of: (outcome: Outcome) => string) => runs.map(({ outcome }) => of(outcome));
  const utilisations = first.outcome.resources.map(({ name, servers }) => [
    servers > 1 ? `${name} (${servers})` : name,
    ...cells(({ resources }) => percent(resources.find((one) => one.name === name)?.utilisation ?? 0)),
  ]);
  return table(
    [`${short(first.dailyUsers)} daily users`, ...runs.map(({ scenario }) => scenario)],
    [
      ['requests a second', ...cells(({ requestsPerSecond }) => whole(requestsPerSecond))],
      ['look-ups that the cache answers', ...cells(({ lookUps }) => percent(lookUps.fresh))],
      ...utilisations,
      ['busiest', ...cells(({ resources }) => busiest(resources).name)],
      ['`POST /token` p50, p99', ...cells(({ latency }) => times(latency.mintHit))],
      ['sign-in p50, p99', ...cells(({ latency }) => times(latency.signIn))],
      ['later than 2 s', ...cells(({ latePercent }) => `${latePercent.toFixed(1)} %`)],
    ],
  );
}

/** The resource that is used most. Flushes do not count: while one is under way the next one gathers all that come. */
function busiest(resources: ResourceFigures[]): ResourceFigures {
  return resources
    .filter(({ name }) => !name.endsWith('flushes'))
    .reduce((one, other) => (other.utilisation > one.utilisation ? other : one));
}

function times(latency: { p50Ms: number; p99Ms: number } | undefined): string {
  return latency === undefined ? '–' : `${latency.p50Ms.toFixed(1)}, ${latency.p99Ms.toFixed(1)} ms`;
}

/** 10 M, 100 k. */
export function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(2))} M`;
  return value >= 1e3 ? `${Number((value / 1e3).toPrecision(2))} k` : String(Number(value.toPrecision(2)));
}

export function percent(share: number): string {
  const value = share * 100;
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;
}

export function whole(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** Bytes as people read them. */
export function bytes(value: number): string {
  const unit = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(unit.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${Number((value / 1000 ** power).toPrecision(2))} ${unit[power]}`;
}
