import type { State } from '../../src/metrics/gauges.ts';

/** The lines of a scrape, without comments: the value of each metric with its labels. */
export function linesOf(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

type Known = {
  untilRotationMs?: number | null;
  queued?: number;
  revocations?: ReturnType<State['revocations']>;
  outbox?: State['outbox'];
};

const REVOCATIONS = { ageMs: 250, entries: 12 };

/** The state of rooms that do not exist. */
export function fakeState(known: Known = {}): State {
  const { untilRotationMs = 1_000, queued = 0, revocations = REVOCATIONS, outbox } = known;
  return {
    now: () => 100_000,
    hashQueue: () => ({ running: 1, queued }),
    keys: () => ({
      keys: [
        { status: 'active', ageMs: 60_000 },
        { status: 'retired', ageMs: 1_000 },
        { status: 'retired', ageMs: 2_000 },
      ],
      untilRotationMs,
      unconfirmedMs: 1_500,
    }),
    revocations: () => revocations,
    revocationStreams: () => 3,
    outbox:
      outbox ??
      (async () => [
        { kind: 'sessions_ended', waiting: 4, oldestAt: new Date(95_000), dead: 2 },
        { kind: 'mail', waiting: 0, oldestAt: null, dead: 0 },
      ]),
    pool: () => ({ size: 10, inUse: 3, waiting: 0 }),
  };
}
