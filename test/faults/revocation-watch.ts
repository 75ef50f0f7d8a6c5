import { setTimeout as delay } from 'node:timers/promises';
import { createVerifier, type Verifier } from '../../src/verifier/verifier.ts';
import { VerifierError } from '../../src/verifier/verifier-error.ts';

/** What was seen of sign-outs that a replica has acknowledged, and of sessions that live. */
export type Seen = {
  /** One for each sign-out and verifier. */
  refusals: number;
  /** Not refused by a verifier before it was given up. */
  missed: number;
  /** By the kind of verifier and the faults meanwhile. */
  waits: Record<string, Wait>;
  liveChecks: number;
  falseRefusals: number;
  errors: string[];
};

/** Milliseconds from the acknowledgement to the refusal at most, and how many were accepted for longer than they may be. */
type Wait = { longestMs: number; late: number };

/** What is broken at the moment. */
export type Trouble = {
  name: string | null;
  /** Nothing can be known as long as the database is gone. */
  isDatabaseGone: boolean;
  /** When the fault before has ended. */
  endedAt: number;
};

/** After the sign-out, or after the last fault before that one which lasts. */
const KNOWN_WITHIN_MS = 5_000;
/** Until then a missed revocation is watched, to tell whether it was only late. */
const WATCHED_MS = 30_000;
/** Between two checks of a revoked token. Most are refused by the second. */
const FIRST_GAP_MS = 100;
const GAPS_MS = [100, 200, 400];
const LONGEST_GAP_MS = 500;

export type Watch = ReturnType<typeof createWatch>;

/**
 * Services that verify offline, and a record of what they accept.
 * @param url where they have the feed and the keys from: a balancer
 * @param patience how many times longer than on an idle machine things may take
 */
export function createWatch(issuer: string, url: string, trouble: Trouble, patience: number) {
  const how = ['stream', 'stream', 'stream', 'poll'] as const;
  const verifiers = how.map((revocations) =>
    createVerifier({
      ...{ issuer, audience: 'api', revocations, logger: false },
      ...{ jwksUri: `${url}/.well-known/jwks.json`, revocationsUri: `${url}/revocations` },
    }),
  );
  const seen: Seen = { refusals: 0, missed: 0, waits: {}, liveChecks: 0, falseRefusals: 0, errors: [] };
  const watched = new Set<Promise<void>>();

  return {
    seen,
    /** Until each verifier knows the keys and the window. */
    async load(): Promise<void> {
      await Promise.all(verifiers.map((verifier) => verifier.load()));
      while (!verifiers.every((verifier) => Number.isFinite(verifier.revocationLag()))) await delay(20);
    },

    /** To be called when a sign-out is acknowledged. Each verifier must refuse the token soon. */
    signedOut(token: string): void {
      const acknowledgedAt = performance.now();
      for (const [at, verifier] of verifiers.entries()) {
        const refused = follow(verifier, how[at] ?? '', token, acknowledgedAt)
          .catch((error: Error) => void seen.errors.push(error.message))
          .finally(() => watched.delete(refused));
        watched.add(refused);
      }
    },

    /** How many are not refused yet. */
    waiting: () => watched.size,

    /** Checks the token of a live session at each verifier. */
    async check(token: string): Promise<void> {
      await Promise.all(
        verifiers.map(async (verifier) => {
          seen.liveChecks += 1;
          if (await isRevoked(verifier, token)) seen.falseRefusals += 1;
        }),
      );
    },

    async close(): Promise<void> {
      await Promise.all(watched);
      await Promise.all(verifiers.map((verifier) => verifier.close()));
    },
  };

  async function follow(verifier: Verifier, how: string, token: string, since: number): Promise<void> {
    const troubles = new Set<string>();
    let isLate = false;
    await delay(FIRST_GAP_MS);
    for (let tries = 0; !(await isRevoked(verifier, token)); tries += 1) {
      if (trouble.name !== null) troubles.add(trouble.name);
      const bound = KNOWN_WITHIN_MS * patience;
      const waitedMs = performance.now() - Math.max(since, trouble.endedAt);
      isLate ||= waitedMs > bound && !trouble.isDatabaseGone;
      if (waitedMs > WATCHED_MS && !trouble.isDatabaseGone) {
        seen.missed += 1;
        return;
      }
      await delay(GAPS_MS[tries] ?? LONGEST_GAP_MS);
    }
    const why = `${how}, ${[...troubles].join(' and ') || 'no fault'}`;
    const { longestMs, late } = seen.waits[why] ?? { longestMs: 0, late: 0 };
    const tookMs = Math.round(performance.now() - since);
    seen.waits[why] = { longestMs: Math.max(longestMs, tookMs), late: late + Number(isLate) };
    seen.refusals += 1;
  }
}

/** @throws whatever else is wrong with the token */
export async function isRevoked(verifier: Verifier, token: string): Promise<boolean> {
  try {
    await verifier.verify(token);
    return false;
  } catch (error) {
    if (error instanceof VerifierError && error.code === 'token_revoked') return true;
    throw error;
  }
}
