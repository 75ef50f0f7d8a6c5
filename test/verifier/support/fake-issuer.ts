import type { Fetch } from '../../../src/verifier/fetch-document.ts';
import { createVerifier, type VerifierOptions } from '../../../src/verifier/verifier.ts';
import { createSigner, issuer, type Signer, start } from './tokens.ts';

export const jwksUri = `${issuer}/.well-known/jwks.json`;
const metadataUri = `${issuer}/.well-known/oauth-authorization-server`;

type Reply = () => Response | Promise<Response>;

/** An auth server that is a `fetch`, with a clock in the test's hand. */
export async function createFakeIssuer() {
  const signer = await createSigner();
  const requests: { url: string; headers: Headers }[] = [];
  let now = start;
  const state = {
    keys: [signer.jwk] as unknown[],
    headers: { 'cache-control': 'public, max-age=600' } as Record<string, string>,
    /** What answers instead of the key set. */
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
    now: () => now,
    advance: (ms: number) => {
      now += ms;
    },
    /** A token that is good at this moment. */
    sign: (by: Signer = signer) => by.sign({ iat: now / 1000, exp: now / 1000 + 300 }),
    verifier: (options: Partial<VerifierOptions> = {}) =>
      createVerifier({ issuer, audience: 'shop', jwksUri, fetch, now: () => now, ...options }),
    /** One that is not told where the keys are. */
    discoveringVerifier: () => createVerifier({ issuer, audience: 'shop', fetch, now: () => now }),
  };
}

export const dead: Reply = () => Promise.reject(new TypeError('fetch failed'));

/** Until what was started in the background has been done: a few turns of the loop, no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** An answer that comes when the test says so. */
export function createGate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: () => resolve() };
}
