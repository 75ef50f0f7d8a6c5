import {
  assertTokenRules,
  checkToken,
  DEFAULT_ALGORITHMS,
  type TokenClaims,
  type TokenRules,
  type TokenType,
} from './check-token.ts';
import { checkMetadata, discoverJwksUri } from './discovery.ts';
import { secureUrl } from './fetch-document.ts';
import { followRevocations } from './follow-revocations.ts';
import { tell } from './hooks.ts';
import { createRemoteKeys } from './remote-keys.ts';
import { runChecks } from './setup-error.ts';
import { VerifierError } from './verifier-error.ts';
import { settingsOf, type VerifierOptions, type VerifierSettings } from './verifier-settings.ts';

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
    settings,
    ...keySetOf(options, settings),
    algorithms: rules.algorithms,
    cooldownMs: options.cooldownMs ?? 30_000,
    cacheMaxAgeMs: Math.min(options.cacheMaxAgeMs ?? MAX_CACHE_AGE_MS, MAX_CACHE_AGE_MS),
    staleForMs: options.staleForMs ?? DAY_MS,
  });
  const revocations = followRevocations(options, settings, keys.dropRevoked);

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
        const { claims, kid } = await checkToken(token, keys.get, { ...rules, types });
        const isRevoked = revocations.isRevoked(claims, kid);
        // Without a turn of the event loop where that can be.
        if (typeof isRevoked === 'boolean' ? isRevoked : await isRevoked)
          throw new VerifierError('token_revoked');
        tell(on.verified, 'ok');
        return claims;
      } catch (error) {
        tell(on.verified, error instanceof VerifierError ? error.code : 'unexpected');
        throw error;
      }
    },

    /** Fetches the keys before the first token comes. @throws VerifierError `keys_unavailable` */
    load: () => keys.load(),

    /**
     * Makes sure, when the service starts, that the issuer is right, that there are keys, and that the clocks agree.
     * Only an introspection can see whether the audience is right: see `checkSetup` of doors.
     * @throws SetupError with all problems
     */
    check: () => runChecks([checkMetadata(settings, options.jwksUri), keys.check()]),

    /**
     * Milliseconds since the moment up to which this service knows all revocations: `Infinity` if it has loaded none yet,
     * or if there is no feed.
     */
    revocationLag: (): number => revocations.lagMs(),

    /**
     * Ends the revocation feed, and resolves when its connection is closed. Tokens can still be checked, with what is held.
     * A process that is to end by itself needs this: an open stream keeps it alive.
     */
    close: (): Promise<void> => revocations.close(),
  };
}

function rulesOf(options: VerifierOptions, settings: VerifierSettings): Omit<TokenRules, 'types'> {
  const { algorithms = DEFAULT_ALGORITHMS } = options;
  const { issuer, audiences, leewaySeconds, now, warn } = settings;
  const rules = { issuer, audiences, algorithms: [...algorithms], leewaySeconds, now, warn };
  assertTokenRules(rules);
  return rules;
}

function keySetOf({ jwksUri }: VerifierOptions, settings: VerifierSettings) {
  if (jwksUri === undefined)
    return {
      findJwksUri: () => discoverJwksUri(settings),
      cure: 'check PUBLIC_URL of the auth server, or set jwksUri',
    };
  const configured = secureUrl(jwksUri, 'jwksUri', settings.allowInsecure);
  return { findJwksUri: async () => configured, cure: 'check jwksUri' };
}
