import { type Figures, load } from './load.ts';
import { type Line, median } from './report.ts';
import { FLOOR, type Subject } from './subjects.ts';

export type Plan = { connections: number[]; rounds: number; seconds: number };

/** One subject in one round. */
type Measured = Figures & Pick<Line, 'cpuMicroseconds' | 'instructions' | 'residentMb'>;

/** By then V8 has compiled the hot code: `/token` takes 740,000 instructions at first, and 470,000 after that. */
const WARM_UP_REQUESTS = 45_000;
const WARM_UP_SECONDS = 3;
/** Slow subjects spend most of their time outside of the engine, so they need no more. */
const WARM_UP_SECONDS_AT_MOST = 15;

/**
 * Measures all subjects in turn, round after round, so that other work on the machine affects all of them alike.
 * @param tell called with the current step
 */
export async function measureAll(
  subjects: Subject[],
  { connections, rounds, seconds }: Plan,
  tell: (what: string) => void,
): Promise<Line[]> {
  for (const subject of subjects) {
    tell(`warming up: ${subject.name}`);
    await warmUp(subject, allowed(subject, Math.max(...connections)));
  }
  const lines: Line[] = [];
  for (const count of connections) {
    const taken = new Map<string, Measured[]>(subjects.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round += 1) {
      for (const subject of subjects) {
        tell(`${count} connections, round ${round} of ${rounds}: ${subject.name}`);
        taken.get(subject.name)?.push(await measure(subject, allowed(subject, count), seconds));
      }
    }
    const floor = taken.get(FLOOR) ?? [];
    for (const [name, measured] of taken) lines.push(lineOf(name, count, measured, floor));
  }
  return lines;
}

/** Sends requests until V8 has compiled the hot code. */
export async function warmUp(
  { request, prepare }: Pick<Subject, 'request' | 'prepare'>,
  connections: number,
): Promise<void> {
  await prepare?.();
  let sent = 0;
  for (let seconds = 0; seconds < WARM_UP_SECONDS_AT_MOST; seconds += WARM_UP_SECONDS) {
    sent += (await load(request, connections, WARM_UP_SECONDS)).requests;
    if (sent >= WARM_UP_REQUESTS) return;
  }
}

function allowed({ mostConnections = Number.POSITIVE_INFINITY }: Subject, connections: number): number {
  return Math.min(mostConnections, connections);
}

async function measure(
  { request, server, prepare }: Subject,
  connections: number,
  seconds: number,
): Promise<Measured> {
  await prepare?.();
  const endCount = await server?.countInstructions();
  const cpuBefore = server?.cpuMicroseconds() ?? Number.NaN;
  const figures = await load(request, connections, seconds);
  const cpu = (server?.cpuMicroseconds() ?? Number.NaN) - cpuBefore;
  const instructions = (await endCount?.()) ?? Number.NaN;
  return {
    ...figures,
    cpuMicroseconds: cpu / figures.requests,
    instructions: instructions / figures.requests,
    residentMb: server?.residentMb() ?? Number.NaN,
  };
}

function lineOf(subject: string, connections: number, measured: Measured[], floor: Measured[]): Line {
  const middle = (of: (one: Measured) => number) => median(measured.map(of));
  const ratio = (of: (one: Measured) => number) =>
    median(measured.map((one, round) => of(one) / of(floor[round] ?? { ...one, ...UNKNOWN })));
  return {
    subject,
    connections,
    requests: measured.reduce((sum, one) => sum + one.requests, 0),
    errors: measured.reduce((sum, one) => sum + one.errors, 0),
    perSecond: middle((one) => one.perSecond),
    p50: middle((one) => one.p50),
    p97_5: middle((one) => one.p97_5),
    p99: middle((one) => one.p99),
    cpuMicroseconds: middle((one) => one.cpuMicroseconds),
    instructions: middle((one) => one.instructions),
    residentMb: middle((one) => one.residentMb),
    rateRatio: ratio((one) => one.perSecond),
    cpuRatio: ratio((one) => one.cpuMicroseconds),
    instructionRatio: ratio((one) => one.instructions),
    p99Ratio: ratio((one) => one.p99),
  };
}

/** Without a floor there are no ratios. */
const UNKNOWN = {
  perSecond: Number.NaN,
  cpuMicroseconds: Number.NaN,
  instructions: Number.NaN,
  p99: Number.NaN,
};
