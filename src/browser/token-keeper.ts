import { AuthError } from './auth-error.ts';
import { type AuthStateStore, SIGNED_OUT } from './auth-state.ts';
import { userOf } from './claims.ts';
import type { Page } from './page.ts';

const REFRESH_BEFORE_MS = 60_000;
/** The longest timer. Timers stop while a computer sleeps: after it wakes, the clock is checked within this time. */
const TICK_MS = 60_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;

type TokenAnswer = { access_token: string; expires_in: number };
/** The same moment on both clocks. */
type Instant = { wall: number; steady: number };

export type TokenKeeper = ReturnType<typeof createTokenKeeper>;

/**
 * Keeps the access token for one audience, in this closure and nowhere else.
 * @param audience the server's default if left out
 */
export function createTokenKeeper(page: Page, session: AuthStateStore, audience?: string) {
  const body = audience === undefined ? undefined : { audience };
  let token: { value: string; ends: Instant } | null = null;
  /** Whether a service refused the token, and another one is being fetched. */
  let isRefused = false;
  let flight: Promise<void> | null = null;
  let failure: AuthError | null = null;
  let failures = 0;
  /** Whether the network may have come back since the running request was sent. */
  let hurried = false;
  /** When to ask the server next. */
  let due: Instant | null = null;
  let timer: ReturnType<Page['setTimeout']> | undefined;

  session.onChange(reset);
  return { accessToken, replace, renew, hurry, isSettled };

  /** A token that has not expired. @throws AuthError when signed out, or when that is unknown and no token is left */
  async function accessToken(): Promise<string> {
    for (;;) {
      if (session.getSnapshot() === SIGNED_OUT)
        throw new AuthError(404, { code: 'session_not_found', title: 'Not signed in' });
      if (isDue()) void renew();
      const value = usable();
      if (value !== null) return value;
      const asked = session.getEpoch();
      await renew();
      if (failure && asked === session.getEpoch() && usable() === null) throw failure;
    }
  }

  /**
   * Another token in place of one that a service refused, which no caller gets until the server has answered. The same
   * one if the server gave no usable answer: then it stays, because other services may still take it.
   * @throws AuthError as `accessToken`
   */
  async function replace(refused: string): Promise<string> {
    // A call that was refused later finds the new token here already.
    if (token?.value === refused) {
      void renew();
      isRefused = flight !== null;
    }
    return accessToken();
  }

  /** Asks for a token: one request for all callers, and after a failure only when it is due. Never rejects. */
  function renew(): Promise<void> {
    if (failure && !isDue()) return Promise.resolve();
    flight ??= refresh(session.getEpoch());
    return flight;
  }

  /** The network may be back, or a user waits: does not wait any longer for a server that gave no answer. */
  function hurry(): void {
    if (flight) hurried = true;
    else if (failure?.status === 0) due = later(0);
    wake();
  }

  async function refresh(asked: number): Promise<void> {
    hurried = false;
    // The token was made after the request was sent.
    const since = later(0);
    try {
      const answer = await session.ask<TokenAnswer>('POST', '/token', body);
      if (asked === session.getEpoch()) adopt(answer, since);
    } catch (error) {
      if (asked === session.getEpoch()) backOff(error);
    }
  }

  function adopt({ access_token: value, expires_in }: TokenAnswer, since: Instant): void {
    const user = userOf(value);
    const lifeMs = expires_in * 1000;
    // Otherwise `accessToken` would ask again for ever.
    if (!(lifeMs > 0)) throw new AuthError(200);
    session.enter(user);
    token = { value, ends: later(lifeMs, since) };
    failures = 0;
    // With a life of one minute, one minute before its end is now: it would ask again without a pause.
    settle(null, later(Math.max(lifeMs - REFRESH_BEFORE_MS, lifeMs / 2), since));
  }

  function backOff(error: unknown): void {
    // Any other error means that the answer made no sense.
    const reason = error instanceof AuthError ? error : new AuthError(200);
    const isHurried = hurried && reason.status === 0;
    const waitMs = isHurried ? 0 : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++);
    // Never before Retry-After, and up to half as much later, so that not all pages ask at the same moment.
    settle(reason, later(Math.max(waitMs, reason.retryAfterSeconds * 1000) * (1 + Math.random() / 2)));
  }

  function settle(outcome: AuthError | null, next: Instant | null): void {
    flight = null;
    isRefused = false;
    failure = outcome;
    due = next;
    wake();
  }

  function reset(): void {
    token = null;
    failures = 0;
    settle(null, null);
  }

  /** An unknown time has passed: asks the server if it is due, or sets the timer again. */
  function wake(): void {
    page.clearTimeout(timer);
    if (isDue()) void renew();
    else if (due) timer = page.setTimeout(wake, Math.min(leftMs(due), TICK_MS));
  }

  function usable(): string | null {
    return token && !isRefused && leftMs(token.ends) > 0 ? token.value : null;
  }

  function isDue(): boolean {
    return due !== null && leftMs(due) <= 0;
  }

  /** Whether there is no reason to ask the server now. */
  function isSettled(): boolean {
    return session.getSnapshot() === SIGNED_OUT || (usable() !== null && !isDue());
  }

  function later(ms: number, { wall, steady } = { wall: page.Date.now(), steady: page.performance.now() }) {
    return { wall: wall + ms, steady: steady + ms };
  }

  /** The steady clock stops while a computer sleeps, and people can set the other one, so the smaller value counts. */
  function leftMs({ wall, steady }: Instant): number {
    return Math.min(wall - page.Date.now(), steady - page.performance.now());
  }
}
