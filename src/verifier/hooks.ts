import type { SetupFault } from './setup-error.ts';
import type { VerifierErrorCode } from './verifier-error.ts';

export type RevocationsResetReason = 'server' | 'mismatch' | 'invalid';

/** For metrics and logs. A hook that throws or rejects changes nothing. */
export type VerifierHooks = {
  /** A document of the auth server was fetched: how long that took, and the HTTP status. */
  fetched?: (ms: number, status: number) => unknown;
  /** Keys or metadata could not be fetched. The previous ones stay in use. */
  fetchFailed?: (error: unknown) => unknown;
  /**
   * A token was checked offline. Called once for each check, so the outcomes add up. `unexpected` is not a refusal: the
   * check itself failed (a bug, broken cryptography), and its error was thrown to the caller.
   */
  verified?: (outcome: 'ok' | VerifierErrorCode | 'unexpected') => unknown;
  /** A token was checked with keys that could not be renewed in time. */
  stale?: (ageMs: number) => unknown;
  /** Something that an operator must put right, as the sentence that the logger gets. Once a minute for each cause. */
  warning?: (text: string) => unknown;
  /** The auth server answered an introspection. */
  introspected?: (ms: number, status: number) => unknown;
  /**
   * How many milliseconds ago the revocations that are held were complete. Called at each answer of the feed, and at each
   * token that is checked while that is over 10 s: such a token may have been revoked. `Infinity` before the first answer.
   */
  revocationLag?: (ms: number) => unknown;
  /** The feed told of this many revocations. */
  revocationsReceived?: (entries: number) => unknown;
  /**
   * All revocations are fetched anew: because the auth server says so (`server`), because an answer does not continue
   * what is held (`mismatch`), or because it is not as it must be (`invalid`). Those held stay in force meanwhile.
   */
  revocationsReset?: (reason: RevocationsResetReason) => unknown;
  /** The feed could not be read. It is tried again; what is held stays in force. */
  revocationsFailed?: (error: unknown) => unknown;
  /** An introspection failed. A status of 400 to 403 is a mistake in the settings: wrong credentials, say. */
  introspectionFailed?: (error: unknown, status: number | null) => unknown;
};

/** Where warnings go: `console`, `app.log` of Fastify, pino… */
export type WarningLogger = { warn(text: string): unknown };

/** Calls a hook, if there is one. Never throws. */
export function tell<Args extends unknown[]>(
  hook: ((...args: Args) => unknown) | undefined,
  ...args: Args
): void {
  try {
    const told = hook?.(...args);
    if (told instanceof Promise) told.catch(() => {});
  } catch {
    // A metric that cannot be written is no reason to refuse a request.
  }
}

const WARN_EVERY_MS = 60_000;

export type Warn = (fault: SetupFault) => void;

/**
 * Warns once a minute for each kind of fault, or clients could fill the log by repeating a request.
 * @param logger false: warns no one but the hook
 * @param steadyNow milliseconds on a clock that is never set
 */
export function createWarner(
  on: VerifierHooks,
  logger: WarningLogger | false,
  steadyNow: () => number,
): Warn {
  const warnedAt = new Map<string, number>();
  return ({ kind, message }) => {
    const now = steadyNow();
    if (now - (warnedAt.get(kind) ?? Number.NEGATIVE_INFINITY) < WARN_EVERY_MS) return;
    warnedAt.set(kind, now);
    if (logger) tell((text: string) => logger.warn(text), message);
    tell(on.warning, message);
  };
}
