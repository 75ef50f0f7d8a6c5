import {
  asksAlways,
  checkBodyRule,
  checkClaimRules,
  type Door,
  type DoorPlan,
  planDoor,
} from './door-rules.ts';
import { createIntrospection, type Introspection, type IntrospectionOptions } from './introspection.ts';
import { type Refusal, refuse } from './refusal.ts';
import { runChecks, SetupFault } from './setup-error.ts';
import type { TokenClaims } from './token-claims.ts';
import { createVerifier, type Verifier } from './verifier.ts';
import { VerifierError } from './verifier-error.ts';
import type { VerifierOptions } from './verifier-settings.ts';

export type DoorsOptions = {
  verifier: Verifier | VerifierOptions;
  /**
   * This service's credentials at the auth server. Needed by `checked` and `once` doors; a door with `maxRevocationLag`
   * asks with them while the revocations that are known here are too old.
   */
  introspection?: Introspection | IntrospectionOptions;
  /** The realm in challenges (RFC 9110 §11.5); "api" by default. */
  realm?: string;
};

/** The parts of a request that doors look at. */
export type DoorRequest = {
  /** All `Authorization` headers. Tokens in a query or a body are ignored. */
  authorization: string | string[] | undefined;
  /** As parsed; for `matchEmail`. */
  body?: unknown;
  /** The request's own `Idempotency-Key`; for a `once` door that is `repeatable`. */
  idempotencyKey?: string | undefined;
};

/** The claims of the token; null if an open door let a request pass without a good token. */
export type Passed = { user: TokenClaims | null };

/** A request that has passed all rules that need neither body nor auth server. */
export type Visit = {
  token: string;
  claims: TokenClaims;
  /** Whether the auth server is asked about the token: decided once, because what is known may get too old meanwhile. */
  asks: boolean;
};

/**
 * A door that has been declared. Its methods return refusals. They reject only for unexpected errors: a bug, or broken
 * cryptography.
 */
export type DeclaredDoor = {
  /** Whether there is more to do after `enter`; with `maxRevocationLag`, whether there may be. */
  needs: { body: boolean; introspection: boolean; redemption: boolean };
  /** The first half, before a body is read: all rules that need only the token. */
  enter(authorization: DoorRequest['authorization']): Promise<Entered | Refusal>;
  /** The second half. The auth server is asked last, so that a request refused for another reason redeems no token. */
  finish(visit: Visit, request: Omit<DoorRequest, 'authorization'>): Promise<Passed | Refusal>;
};

/** `visit` is null for a request that passes an open door without a good token. */
export type Entered = { visit: Visit | null };

export type Doors = ReturnType<typeof createDoors>;

const BEARER = /^Bearer +([\w.~+/-]+=*) *$/i;
const SCHEME = /^Bearer(\s|$)/i;
const REALM = /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/;
/** Printable ASCII that fits into any header; another value would not reach the auth server. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * The doorkeeper of a service, without a framework.
 * @throws TypeError for options that make no sense
 */
export function createDoors({ verifier: given, introspection: asked, realm = 'api' }: DoorsOptions) {
  if (!REALM.test(realm)) throw new TypeError('realm must be printable ASCII without quotes');
  const isGiven = 'verify' in given;
  const verifier = isGiven ? given : createVerifier(given);
  const introspection = asked && introspectionOf(asked, verifier, close);

  return { declare, check, checkSetup, close };

  /** Ends what runs in the background. A verifier that was given goes on: whoever made it closes it. */
  async function close(): Promise<void> {
    if (!isGiven) await verifier.close();
  }

  /**
   * Makes sure, when the service starts, that issuer, keys and clock are right, and with `introspection` also the client
   * and the audience.
   * @throws SetupError with all problems
   */
  function checkSetup(): Promise<void> {
    return runChecks([verifier.check(), ...(introspection ? [introspection.check()] : [])]);
  }

  /**
   * Reads a door's rule, once, when the service starts.
   * @throws TypeError for a rule that makes no sense, or needs introspection or revocations that are not configured
   */
  function declare(door: Door): DeclaredDoor {
    const plan = planDoor(door);
    assertSources(plan);
    return {
      needs: {
        body: plan.emailField !== null,
        introspection: asksAlways(plan) || (plan.maxRevocationLagMs !== null && introspection !== undefined),
        redemption: plan.kind === 'once',
      },
      enter: (authorization) => refusing(plan, () => enter(plan, authorization)),
      finish: (visit, request) => refusing(plan, () => finish(plan, visit, request)),
    };
  }

  function assertSources(plan: DoorPlan): void {
    if (introspection) return;
    if (asksAlways(plan))
      throw new TypeError(`A door that is ${plan.kind} needs introspection, which is not configured`);
    if (plan.maxRevocationLagMs !== null && !verifier.settings.revocations)
      throw new TypeError('A door with maxRevocationLag needs revocations or introspection: both are off');
  }

  /**
   * Whether this request may pass this door. Both halves at once, for requests whose body has been read already.
   * @throws TypeError for a door that makes no sense; unexpected errors unchanged. Neither is ever a pass
   */
  async function check(door: Door | DeclaredDoor, request: DoorRequest): Promise<Passed | Refusal> {
    const declared = typeof door === 'object' && 'enter' in door ? door : declare(door);
    const entered = await declared.enter(request.authorization);
    if (!('visit' in entered)) return entered;
    return entered.visit === null ? { user: null } : declared.finish(entered.visit, request);
  }

  async function enter(plan: DoorPlan, authorization: DoorRequest['authorization']): Promise<Entered> {
    try {
      const token = tokenOf(authorization);
      const { claims, isStale } = await verify(plan, token);
      checkClaimRules(plan, claims, verifier.settings.now());
      // Last: a request that is wrong in any case gets that answer.
      if (isStale && !introspection) throw unknowable(verifier);
      return { visit: { token, claims, asks: isStale || asksAlways(plan) } };
    } catch (error) {
      if (plan.kind === 'open' && error instanceof VerifierError) return { visit: null };
      throw error;
    }
  }

  /** `isStale`: the revocations that the token was compared with are older than the door allows. */
  async function verify(plan: DoorPlan, token: string): Promise<{ claims: TokenClaims; isStale: boolean }> {
    const types = [plan.kind === 'once' ? ('one-time+jwt' as const) : ('at+jwt' as const)];
    const wasStale = isPastLimit(plan);
    const claims = await verifier.verify(token, { types });
    // Newer ones may have come in meanwhile, as at the start. They count only if the token is compared with them.
    const isStale = wasStale && isPastLimit(plan);
    if (wasStale && !isStale) await verifier.verify(token, { types });
    return { claims, isStale };
  }

  async function finish(
    plan: DoorPlan,
    { token, claims, asks }: Visit,
    { body, idempotencyKey }: Omit<DoorRequest, 'authorization'>,
  ): Promise<Passed> {
    checkBodyRule(plan, claims, body);
    const redemption =
      plan.kind === 'once' ? { idempotencyKey: redemptionKey(plan, idempotencyKey) } : undefined;
    if (asks) await confirm(token, claims, redemption);
    return { user: claims };
  }

  /** A service may use an introspection of its own. If that fails, nothing is known about the token: 503, with the cause. */
  async function confirm(...question: Parameters<Introspection['confirm']>): Promise<void> {
    try {
      await introspection?.confirm(...question);
    } catch (error) {
      if (error instanceof VerifierError) throw error;
      throw new VerifierError('introspection_unavailable', undefined, error);
    }
  }

  function isPastLimit({ maxRevocationLagMs }: DoorPlan): boolean {
    return maxRevocationLagMs !== null && verifier.revocationLag() > maxRevocationLagMs;
  }

  async function refusing<T>(plan: DoorPlan, step: () => Promise<T>): Promise<T | Refusal> {
    try {
      return await step();
    } catch (error) {
      if (error instanceof VerifierError) return refuse(error, plan, realm);
      throw error;
    }
  }
}

/** @param close what to end if that fails: nobody else could */
function introspectionOf(
  asked: Introspection | IntrospectionOptions,
  { settings }: Verifier,
  close: () => Promise<void>,
): Introspection {
  if ('confirm' in asked) return asked;
  try {
    return createIntrospection(asked, settings);
  } catch (error) {
    void close();
    throw error;
  }
}

/** Also warns: where the auth server has no feed, no request ever passes, and nothing else says why. */
function unknowable({ settings }: Verifier): VerifierError {
  settings.warn(
    new SetupFault(
      'revocations too old',
      'A door with maxRevocationLag refuses requests, because what is known here of revocations is older than that: check that the auth server can be reached and that its REVOCATIONS is not off, or set introspection',
    ),
  );
  return new VerifierError('revocations_unavailable');
}

/** RFC 6750 §2.1. A request with another scheme counts as one without a token. */
function tokenOf(authorization: DoorRequest['authorization']): string {
  const [header, ...others] = [authorization ?? []].flat();
  if (others.length > 0) throw malformed('There is more than one Authorization header');
  if (header === undefined || !SCHEME.test(header)) throw new VerifierError('token_missing');
  const token = BEARER.exec(header)?.[1];
  if (token === undefined) throw malformed('The Authorization header is not Bearer and a token');
  return token;
}

function malformed(message: string): VerifierError {
  return new VerifierError('authorization_malformed', message);
}

/** A random key by default: it makes a call repeatable after a lost answer, and no other client can know it. */
function redemptionKey({ repeatable }: DoorPlan, own: string | undefined): string {
  return repeatable && own !== undefined && IDEMPOTENCY_KEY.test(own) ? own : crypto.randomUUID();
}
