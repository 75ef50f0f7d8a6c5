import { type Later, later as laterInProcess } from './answer-patience.ts';
import { discoverRevocationsUri } from './discovery.ts';
import { type Fetch, secureUrl } from './fetch-document.ts';
import { createRevocationFollower, type RevocationFollower } from './revocation-follower.ts';
import { SetupFault } from './setup-error.ts';
import type { VerifierOptions, VerifierSettings } from './verifier-settings.ts';

const NO_FEED: RevocationFollower = {
  isRevoked: () => false,
  lagMs: () => Number.POSITIVE_INFINITY,
  close: async () => {},
};

/**
 * Follows the revocation feed that the options ask for.
 * @param dropKeys called again and again with the keys that are revoked
 * @throws TypeError for options that make no sense
 */
export function followRevocations(
  options: VerifierOptions,
  settings: VerifierSettings,
  dropKeys: (kids: string[]) => void,
  later: Later = laterInProcess,
): RevocationFollower {
  const { revocations: mode = 'stream' } = options;
  if (!['stream', 'poll', false].includes(mode))
    throw new TypeError("revocations must be 'stream', 'poll' or false");
  return mode === false
    ? NO_FEED
    : createRevocationFollower({ settings, mode, dropKeys, later, ...addressOf(options, settings) });
}

function addressOf({ revocations, revocationsUri, jwksUri }: VerifierOptions, settings: VerifierSettings) {
  if (revocationsUri !== undefined) {
    const url = secureUrl(revocationsUri, 'revocationsUri', settings.allowInsecure);
    return { findUrl: async () => url, cure: 'check revocationsUri' };
  }
  const cure =
    jwksUri === undefined
      ? 'check PUBLIC_URL of the auth server, or set revocationsUri'
      : 'check jwksUri, or set revocationsUri';
  const expectation = { isAskedFor: revocations !== undefined, wasThere: false };
  return { findUrl, cure };

  async function findUrl(fetch: Fetch): Promise<string | null> {
    const url = await discoverRevocationsUri({ ...settings, fetch }, jwksUri, expectation);
    if (url === null && expectation.isAskedFor) settings.warn(noFeed());
    expectation.wasThere = url !== null;
    return url;
  }
}

/** Who did not ask for a feed misses none. */
function noFeed(): SetupFault {
  return new SetupFault(
    'revocation feed',
    'The metadata of the auth server names no revocation feed, so this service does not see sign-outs: set REVOCATIONS there, or leave out revocations here',
  );
}
