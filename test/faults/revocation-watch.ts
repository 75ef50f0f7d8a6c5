import { setTimeout as delay } from 'node:timers/promises';
import { createVerifier, type Verifier } from '../../src/verifier/verifier.ts';
import { VerifierError } from '../../src/verifier/verifier-error.ts';

/** What was seen of sign-outs that a replica has acknowledged, and of sessions that live. */
type Seen = {
  /** One for each sign-out and verifier. */
  refusals: number;
  /** A verifier accepted a token for longer than it may. */
  missed: string[];
  /** Milliseconds from the acknowledgement to the refusal at most, by the faults meanwhile. */
  longest: Record<string, number>;
  liveChecks: number;
  falseRefusals: string[];
};

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
const GAPS_MS = [20, 50, 100, 150, 200];
const LONGEST_GAP_MS = 250;

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
  const seen: Seen = { refusals: 0, missed: [], longest: {}, liveChecks: 0, falseRefusals: [] };
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
        const refused = follow(verifier, `${how[at]} ${at}`, token, acknowledgedAt)
          .catch((error: Error) => void seen.missed.push(`${how[at]} ${at}: ${error.message}`))
          .finally(() => watched.delete(refused));
        watched.add(refused);
      }
    },

    /** How many are not refused yet. */
    waiting: () => watched.size,

    /** Checks the token of a live session at each verifier. */
    async check(token: string): Promise<void> {
      await Promise.all(
        verifiers.map(async (verifier, at) => {
          seen.liveChecks += 1;
          if (await isRevoked(verifier, token)) seen.falseRefusals.push(`by ${how[at]} ${at}`);
        }),
      );
    },

    async close(): Promise<void> {
      await Promise.all(watched);
      await Promise.all(verifiers.map((verifier) => verifier.close()));
    },
  };

  async function follow(verifier: Verifier, name: string, token: string, since: number): Promise<void> {
    const troubles = new Set<string>();
    let isLate = false;
    for (let tries = 0; !(await isRevoked(verifier, token)); tries += 1) {
      if (trouble.name !== null) troubles.add(trouble.name);
      const bound = KNOWN_WITHIN_MS * patience;
      const waitedMs = performance.now() - Math.max(since, trouble.endedAt);
      isLate ||= waitedMs > bound && !trouble.isDatabaseGone;
      if (waitedMs > WATCHED_MS && !trouble.isDatabaseGone) break;
      await delay(GAPS_MS[tries] ?? LONGEST_GAP_MS);
    }
    const tookMs = Math.round(performance.now() - since);
    const why = [...troubles].join(' and ') || 'no fault';
    seen.refusals += 1;
    seen.longest[why] = Math.max(seen.longest[why] ?? 0, tookMs);
    if (isLate)
      seen.missed.push(`${name} for ${tookMs} ms, ${why}, lag ${Math.round(verifier.revocationLag())} ms`);
  }
}

/** @throws whatever else is wrong with the token */
async function isRevoked(verifier: Verifier, token: string): Promise<boolean> {
  try {
    await verifier.verify(token);
    return false;
  } catch (error) {
    if (error instanceof VerifierError && error.code === 'token_revoked') return true;
    throw error;
  }
}
