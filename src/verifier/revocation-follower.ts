import { type Later, later as laterInProcess } from './answer-patience.ts';
import type { Fetch } from './fetch-document.ts';
import { tell } from './hooks.ts';
import { createLag, type Opening } from './revocation-lag.ts';
import { entriesIn, type RevocationMessage, readBeat, readMessage } from './revocation-message.ts';
import { createRevocationReader } from './revocation-reader.ts';
import { createRevokedTokens, RevocationMismatch } from './revoked-tokens.ts';
import { SetupFault } from './setup-error.ts';
import type { TokenClaims } from './token-claims.ts';
import type { RevocationMode, VerifierSettings } from './verifier-settings.ts';

export type RevocationFollower = {
  /** Whether a token with these claims, signed by the key `kid`, is known to be revoked. */
  isRevoked(claims: TokenClaims, kid: string): boolean | Promise<boolean>;
  /** Milliseconds since the moment up to which all revocations are known; Infinity if that is unknown. */
  lagMs(): number;
  /** Resolves when nothing is under way any more. */
  close(): Promise<void>;
};

type FeedParts = {
  settings: VerifierSettings;
  mode: RevocationMode;
  /** Finds the URL of the feed; null if there is none. Called again after a failure. Rejects with SetupFault alone. */
  findUrl: (fetch: Fetch) => Promise<string | null>;
  /** What to do if that URL is not the right one. */
  cure: string;
  /** Called again and again with the keys that are revoked. */
  dropKeys: (kids: string[]) => void;
  later?: Later;
  random?: () => number;
};

/** Later than this, a token that was revoked is passed for a time that somebody should know of. */
const STALE_MS = 10_000;
/** A stream that was opened anew for its times stays open this long, whatever its times say. */
const REOPEN_MS = 30_000;

/**
 * Follows the auth server's feed of revocations, from now on until it is closed. What comes is checked, and what is not
 * valid makes the feed be read anew; until that has succeeded, all that was known stays in force.
 */
export function createRevocationFollower(parts: FeedParts): RevocationFollower {
  const { settings, later = laterInProcess, random = Math.random } = parts;
  const { steadyNow, on, warn } = settings;
  const revoked = createRevokedTokens(steadyNow);
  const lag = createLag(settings);
  /** What is being replaced: for how long tokens may be valid then of whose revocation nothing is known. */
  let replacing: { missingForMs: number } | null = null;
  const reader = createRevocationReader({
    ...parts,
    later,
    random,
    listener: { cursor: revoked.cursor, message, beat },
  });

  return {
    isRevoked(claims, kid) {
      if (on.revocationLag && reader.isOn() && lag.ms() > STALE_MS) tell(on.revocationLag, lag.ms());
      return revoked.isRevoked(claims, kid);
    },
    lagMs: () => (reader.isOn() ? lag.ms() : Number.POSITIVE_INFINITY),
    close: reader.close,
  };

  function message(text: string, opening: Opening): boolean {
    return orForget(() => {
      const read = readMessage(text);
      const wasHeld = revoked.cursor() !== null;
      revoked.take(read);
      if (read.from === null && wasHeld) tell(on.revocationsReset, 'server');
      measure(read, opening);
      tell(on.revocationsReceived, entriesIn(read));
      look();
      return read.more;
    });
  }

  function beat(text: string, opening: Opening): boolean {
    return orForget(() => {
      const known = readBeat(text);
      lag.advance(opening, known);
      look();
      const isOff = lag.ms() > STALE_MS || lag.isFromFuture(opening, known);
      return isOff && steadyNow() - opening.startedAt > REOPEN_MS;
    });
  }

  /** What comes in pages is complete with the last of them. */
  function measure(read: RevocationMessage, opening: Opening): void {
    if (read.from === null) replacing = { missingForMs: 0 };
    if (replacing && read.overflow) replacing.missingForMs = read.windowSeconds * 1000;
    if (read.more) return;
    if (replacing) {
      lag.restart(opening, read, replacing.missingForMs);
      if (replacing.missingForMs > 0) warn(overflown());
    } else lag.advance(opening, read);
    replacing = null;
  }

  /** What is to be done now and then. */
  function look(): void {
    revoked.sweep();
    parts.dropKeys(revoked.keys());
    tell(on.revocationLag, lag.ms());
  }

  /** All is fetched anew after what is not valid. @throws what the step throws */
  function orForget<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      revoked.forgetCursor();
      tell(on.revocationsReset, error instanceof RevocationMismatch ? 'mismatch' : 'invalid');
      throw error;
    }
  }
}

function overflown(): SetupFault {
  return new SetupFault(
    'revocation feed overflow',
    'The auth server has more revocations than it keeps, so this service does not know the older ones: lower ACCESS_TOKEN_TTL, which is also how long they must be kept',
  );
}
