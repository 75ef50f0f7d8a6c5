import { type Fetch, fetchDocument, objectOf, secureUrl } from './fetch-document.ts';
import { tell, type VerifierHooks } from './hooks.ts';

type DiscoveryParts = {
  issuer: string;
  fetch: Fetch;
  timeoutMs: number;
  steadyNow: () => number;
  allowInsecure: boolean;
  on: VerifierHooks;
};

/**
 * Finds the address of the key set in the issuer's metadata (RFC 8414 §3).
 *
 * The document is fetched below the issuer's own path, where Doorward serves it even behind a gateway's prefix.
 * @throws Error when it cannot be fetched, or belongs to another issuer (§3.3)
 */
export async function discoverJwksUri(parts: DiscoveryParts): Promise<string> {
  const { issuer, fetch, timeoutMs, steadyNow, allowInsecure, on } = parts;
  const startedAt = steadyNow();
  const url = `${issuer.replace(/\/$/, '')}/.well-known/oauth-authorization-server`;
  const document = await fetchDocument(fetch, url, timeoutMs, { headers: { accept: 'application/json' } });
  tell(on.fetched, steadyNow() - startedAt, document.status);
  const metadata = objectOf(document);
  if (metadata.issuer !== issuer) throw new Error('The metadata is that of another issuer');
  if (typeof metadata.jwks_uri !== 'string') throw new Error('The metadata has no jwks_uri');
  // Plain http only if the issuer uses it too: otherwise the document could point to a service on this host.
  if (issuer.startsWith('https:') && !metadata.jwks_uri.startsWith('https:'))
    throw new Error('The jwks_uri is not https, as the issuer is');
  return secureUrl(metadata.jwks_uri, 'jwks_uri', allowInsecure);
}
