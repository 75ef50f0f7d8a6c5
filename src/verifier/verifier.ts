import {
  assertTokenRules,
  checkToken,
  DEFAULT_ALGORITHMS,
  type TokenClaims,
  type TokenRules,
  type TokenType,
} from './check-token.ts';
import { discoverJwksUri } from './discovery.ts';
import { type Fetch, secureUrl } from './fetch-document.ts';
import { createWarner, tell, type VerifierHooks } from './hooks.ts';
import { createRemoteKeys } from './remote-keys.ts';
import { VerifierError } from './verifier-error.ts';

export type VerifierOptions = {
  /** `PUBLIC_URL` of the auth server, exactly as tokens say it in `iss`. */
  issuer: string;
  /** This service's own name among `AUDIENCES`; a token must name it, or one of several. */
  audience: string | string[];
  /** URL of the key set; by default it comes from the issuer's metadata. */
  jwksUri?: string;
  /** ES256, EdDSA and RS256 by default. */
  algorithms?: string[];
  /** How far the clocks may be apart; 60 at most, 5 by default. */
  leewaySeconds?: number;
  /** For each request to the auth server; 2 s by default. */
  timeoutMs?: number;
  /** Between two fetches for unknown keys; 30 s by default. */
  cooldownMs?: number;
  /** How long keys are kept before they are fetched again, whatever `max-age` says; 10 min by default and at most. */
  cacheMaxAgeMs?: number;
  /** How long known keys are used while the auth server does not answer; 24 h by default. */
  staleForMs?: number;
  /** Allows plain http to other machines. Only for a network that no one else can reach. */
  allowInsecure?: boolean;
  fetch?: Fetch;
  /** Milliseconds since the epoch; for the times in tokens. */
  now?: () => number;
  /** Milliseconds on a clock that is never set; for everything that lasts. `performance.now` by default. */
  steadyNow?: () => number;
  on?: VerifierHooks;
};

/** How the auth server and the clocks are reached: shared by key fetching and introspection. */
export type VerifierSettings = Required<
  Pick<VerifierOptions, 'issuer' | 'timeoutMs' | 'allowInsecure' | 'fetch' | 'now' | 'steadyNow' | 'on'>
>;

export type Verifier = ReturnType<typeof createVerifier>;

const MAX_CACHE_AGE_MS = 600_000;
const DAY_MS = 24 * 3_600_000;

/**
 * Checks access tokens offline. Issuer and keys come from these options or the issuer's metadata, never from a token.
 * @throws TypeError for options that would check too little
 */
export function createVerifier(options: VerifierOptions) {
  const settings = settingsOf(options);
  const { on } = settings;
  const rules = rulesOf(options, settings);
  const keys = createRemoteKeys({
    ...settings,
    findJwksUri: jwksUriOf(options, settings),
    algorithms: rules.algorithms,
    cooldownMs: options.cooldownMs ?? 30_000,
    cacheMaxAgeMs: Math.min(options.cacheMaxAgeMs ?? MAX_CACHE_AGE_MS, MAX_CACHE_AGE_MS),
    staleForMs: options.staleForMs ?? DAY_MS,
  });

  return {
    settings,

    /**
     * The claims of a token that is meant for this service.
     * @param types access tokens alone by default
     * @throws VerifierError when the token is refused or cannot be checked. Any other error is a bug or broken
     *   cryptography, and is thrown unchanged: no token from a client can cause it.
     */
    async verify(token: string, { types = ['at+jwt'] }: { types?: TokenType[] } = {}): Promise<TokenClaims> {
      try {
        const { claims } = await checkToken(token, keys.get, { ...rules, types });
        tell(on.verified, 'ok');
        return claims;
      } catch (error) {
        tell(on.verified, error instanceof VerifierError ? error.code : 'unexpected');
        throw error;
      }
    },

    /** Fetches the keys before the first token comes. @throws VerifierError `keys_unavailable` */
    load: () => keys.load(),
  };
}

function settingsOf(options: VerifierOptions): VerifierSettings {
  const { issuer, allowInsecure = false, timeoutMs = 2000, now = Date.now, on = {} } = options;
  const { steadyNow = () => performance.now() } = options;
  secureUrl(issuer, 'issuer', allowInsecure);
  // Read at each call, because tools that instrument or mock `fetch` may replace it later.
  const fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  return { issuer, allowInsecure, timeoutMs, now, steadyNow, on, fetch };
}

function rulesOf(options: VerifierOptions, settings: VerifierSettings): Omit<TokenRules, 'types'> {
  const { issuer, audience, algorithms = DEFAULT_ALGORITHMS, leewaySeconds = 5 } = options;
  const audiences = typeof audience === 'string' ? [audience] : [...audience];
  const { now, steadyNow, on } = settings;
  const warn = createWarner(on, steadyNow);
  // Only the issuer can cause this: the signature has been verified by then.
  const onIssuedInFuture = (seconds: number) =>
    warn(`A token was issued in the future by ${Math.ceil(seconds)} s: check the clock of this host`);
  const rules = { issuer, audiences, algorithms: [...algorithms], leewaySeconds, now, onIssuedInFuture };
  assertTokenRules(rules);
  return rules;
}

function jwksUriOf({ jwksUri }: VerifierOptions, settings: VerifierSettings): () => Promise<string> {
  if (jwksUri === undefined) return () => discoverJwksUri(settings);
  const configured = secureUrl(jwksUri, 'jwksUri', settings.allowInsecure);
  return async () => configured;
}
