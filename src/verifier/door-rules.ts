import type { TokenClaims } from './token-claims.ts';
import { VerifierError } from './verifier-error.ts';

/**
 * What passes: every request (`open`), a valid token (`verified`, offline), a valid token that has not been revoked
 * (`checked`, asks the auth server), a single-use token (`once`, redeems it).
 */
export type DoorKind = 'open' | 'verified' | 'checked' | 'once';

export type DoorRule = {
  door: DoorKind;
  /** The token must have all of these scopes: a list, or separated by spaces. */
  scope?: string | string[];
  /** Seconds since the sign-in, at most: for actions that need a recent sign-in (RFC 9470). */
  maxAuthAge?: number;
  /**
   * The e-mail address in the request's body, in `email` or the field named, must be the token's. Whether the user
   * has proved to own it (`email_verified`) does not matter here.
   */
  matchEmail?: true | string;
  /**
   * At a `once` door: a request with the same token and the same `Idempotency-Key` passes again, for clients whose
   * answer was lost. Only for a service that repeats its earlier answer then.
   */
  repeatable?: boolean;
  /**
   * At a `verified` door: how many seconds old, at most, what is known about sign-outs may be; 2 at least. When it is
   * older, the auth server is asked where `introspection` is configured, and otherwise the request is refused for now.
   */
  maxRevocationLag?: number;
};

export type Door = DoorKind | DoorRule;

/** A door with a valid rule. */
export type DoorPlan = {
  kind: DoorKind;
  scopes: string[];
  maxAuthAgeSeconds: number | null;
  emailField: string | null;
  repeatable: boolean;
  /** Null: it passes on what is known. */
  maxRevocationLagMs: number | null;
};

/** Twice the time between two beats of the feed: with less, a healthy feed would seem stale. */
const LEAST_LAG_SECONDS = 2;

const KINDS: string[] = ['open', 'verified', 'checked', 'once'] satisfies DoorKind[];
const MEMBERS = ['door', 'scope', 'maxAuthAge', 'matchEmail', 'repeatable', 'maxRevocationLag'];

/** RFC 6749 §3.3. Other characters could break the header that names the scope. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/**
 * Reads a door's rule.
 * @throws TypeError for an invalid rule: a service must rather not start than have a door that lets everything through
 */
export function planDoor(door: Door): DoorPlan {
  const rule: DoorRule = typeof door === 'string' ? { door } : door;
  const { door: kind, scope = [], maxAuthAge = null, matchEmail = null } = rule ?? {};
  const { repeatable = false, maxRevocationLag = null } = rule ?? {};
  if (!KINDS.includes(kind)) throw new TypeError(`A door must be one of ${KINDS.join(', ')}`);
  const unknown = Object.keys(rule).find((member) => !MEMBERS.includes(member));
  if (unknown !== undefined) throw new TypeError(`A door has no rule ${unknown}`);
  const plan = {
    kind,
    scopes: readScopes(scope),
    maxAuthAgeSeconds: maxAuthAge,
    emailField: matchEmail === true ? 'email' : matchEmail,
    repeatable,
    maxRevocationLagMs: maxRevocationLag === null ? null : readLag(maxRevocationLag),
  };
  assertPlan(plan);
  return plan;
}

function readScopes(scope: string | string[]): string[] {
  const scopes = typeof scope === 'string' ? scope.split(' ') : [...scope];
  if (!scopes.every((name) => SCOPE.test(name))) throw new TypeError('scope must be names of scopes');
  return scopes;
}

function readLag(seconds: number): number {
  if (Number.isFinite(seconds) && seconds >= LEAST_LAG_SECONDS) return seconds * 1000;
  throw new TypeError(`maxRevocationLag must be a number of seconds, ${LEAST_LAG_SECONDS} at least`);
}

function assertPlan(plan: DoorPlan): void {
  const { kind, scopes, maxAuthAgeSeconds, emailField, repeatable, maxRevocationLagMs } = plan;
  if (typeof repeatable !== 'boolean' || (repeatable && kind !== 'once'))
    throw new TypeError('repeatable must be true or false, and only a door that is once may have it');
  if (maxAuthAgeSeconds !== null && !(Number.isInteger(maxAuthAgeSeconds) && maxAuthAgeSeconds > 0))
    throw new TypeError('maxAuthAge must be a number of whole seconds');
  if (emailField !== null && (typeof emailField !== 'string' || emailField === ''))
    throw new TypeError('matchEmail must be true or the name of a field');
  const hasLag = maxRevocationLagMs !== null;
  if (hasLag && asksAlways(plan))
    throw new TypeError(
      `A door that is ${kind} asks about each token: only a verified one may have maxRevocationLag`,
    );
  const hasRules = scopes.length > 0 || maxAuthAgeSeconds !== null || emailField !== null || hasLag;
  if (kind === 'open' && hasRules) throw new TypeError('An open door has no other rules');
}

/** Whether the auth server is asked about each token. */
export function asksAlways({ kind }: DoorPlan): boolean {
  return kind === 'checked' || kind === 'once';
}

/**
 * Checks the rules that need only the claims.
 * @param now milliseconds since the epoch
 * @throws VerifierError `scope_insufficient`, `auth_too_old`
 */
export function checkClaimRules(plan: DoorPlan, claims: TokenClaims, now: number): void {
  const granted = claims.scope.split(' ');
  if (!plan.scopes.every((scope) => granted.includes(scope))) throw new VerifierError('scope_insufficient');
  if (plan.maxAuthAgeSeconds === null) return;
  // A service client never signed in, so its token is always too old.
  const ageSeconds = now / 1000 - (claims.auth_time ?? Number.NEGATIVE_INFINITY);
  if (!(ageSeconds <= plan.maxAuthAgeSeconds)) throw new VerifierError('auth_too_old');
}

/**
 * Checks the rule that needs the request's body.
 * @param body parsed; only an object can have an e-mail address
 * @throws VerifierError `email_mismatch`
 */
export function checkBodyRule({ emailField }: DoorPlan, claims: TokenClaims, body: unknown): void {
  if (emailField === null) return;
  const given = textAt(body, emailField);
  const isSame = given !== null && claims.email !== undefined && canonical(given) === canonical(claims.email);
  if (!isSame) throw new VerifierError('email_mismatch');
}

/** Reads only the object's own members: an inherited one was not sent. */
function textAt(body: unknown, field: string): string | null {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, field)) return null;
  const value: unknown = (body as Record<string, unknown>)[field];
  return typeof value === 'string' ? value : null;
}

function canonical(email: string): string {
  return email.trim().normalize('NFC').toLowerCase();
}
