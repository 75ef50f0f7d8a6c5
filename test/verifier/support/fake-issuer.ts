import type { Fetch } from '../../../src/verifier/fetch-document.ts';
import { createVerifier } from '../../../src/verifier/verifier.ts';
import type { VerifierOptions } from '../../../src/verifier/verifier-settings.ts';
import { createSigner, issuer, type Signer, start } from './tokens.ts';

export const jwksUri = `${issuer}/.well-known/jwks.json`;
const metadataUri = `${issuer}/.well-known/oauth-authorization-server`;

/** Without warnings, and without a revocation feed, whose requests would be among those that a test counts. */
const quiet = { logger: false, revocations: false } as const;

type Reply = () => Response | Promise<Response>;

/** An auth server in the form of a `fetch`, with a clock that the test moves. */
export async function createFakeIssuer() {
  const signer = await createSigner();
  const requests: { url: string; headers: Headers }[] = [];
  let now = start;
  let steady = 0;
  const clocks = { now: () => now, steadyNow: () => steady };
  const state = {
    keys: [signer.jwk] as unknown[],
    headers: { 'cache-control': 'public, max-age=600' } as Record<string, string>,
    /** Answers instead of the key set. */
    instead: null as Reply | null,
    metadata: { issuer, jwks_uri: jwksUri } as unknown,
  };
  const fetch: Fetch = async (url, init) => {
    requests.push({ url, headers: new Headers(init.headers) });
    if (url === metadataUri) return Response.json(state.metadata);
    return state.instead ? state.instead() : Response.json({ keys: state.keys }, { headers: state.headers });
  };
  return {
    signer,
    state,
    requests,
    fetch,
    ...clocks,
    advance: (ms: number) => {
      now += ms;
      steady += ms;
    },
    /** An operator or NTP sets the wall clock. */
    stepWallClock: (ms: number) => {
      now += ms;
    },
    /** A token that is valid now. */
    sign: (by: Signer = signer) => by.sign({ iat: now / 1000, exp: now / 1000 + 300 }),
    verifier: (options: Partial<VerifierOptions> = {}) =>
      createVerifier({ issuer, audience: 'shop', jwksUri, fetch, ...quiet, ...clocks, ...options }),
    /** A verifier without the URL of the keys. */
    discoveringVerifier: (options: Partial<VerifierOptions> = {}) =>
      createVerifier({ issuer, audience: 'shop', fetch, ...quiet, ...clocks, ...options }),
  };
}

export const dead: Reply = () => Promise.reject(new TypeError('fetch failed'));

/** Waits for work in the background: a few turns of the event loop, no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** An answer that the test sends. */
export function createGate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: () => resolve() };
}
