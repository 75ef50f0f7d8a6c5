import { importJWK, importPKCS8, type JWK, SignJWT } from 'jose';
import type { ImportedKey, PrivateJwk } from './key-types.ts';
import { SetupFault } from './setup-error.ts';

/** How this service authenticates at the auth server: with a secret, or with a key of its own (RFC 7523). */
export type ClientCredentials =
  | { clientId: string; clientSecret: string }
  | {
      clientId: string;
      /** PKCS #8 as PEM, a JWK, or an imported key. */
      privateKey: string | PrivateJwk | ImportedKey;
      kid: string;
      /** Algorithm of the key; ES256 by default. */
      algorithm?: string;
    };

/** What a request carries to authenticate its client. */
export type Authentication = { headers: Record<string, string>; form: Record<string, string> };

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const ASSERTION_LIFE_SECONDS = 60;

/**
 * Returns a function that makes the authentication of one request, because an assertion can be used only once.
 * @param now milliseconds since the epoch
 * @returns a function that rejects with SetupFault if the key cannot be used
 * @throws TypeError for incomplete credentials
 */
export function createAuthenticator(
  credentials: ClientCredentials,
  issuer: string,
  now: () => number,
): () => Promise<Authentication> {
  if (!credentials.clientId) throw new TypeError('introspection needs a clientId');
  if ('clientSecret' in credentials) return basic(credentials.clientId, credentials.clientSecret);
  const { clientId, privateKey, kid, algorithm = 'ES256' } = credentials;
  if (!privateKey || !kid)
    throw new TypeError('introspection needs a clientSecret, or a privateKey and its kid');
  const imported = importKey(privateKey, algorithm).catch(() => {
    // Without its cause, which may quote the key.
    throw new SetupFault(
      'client key',
      `The private key of the client ${clientId} cannot be used for ${algorithm}: check privateKey and algorithm`,
    );
  });
  // The first request gets this error. Until then it must not count as an unhandled rejection.
  imported.catch(() => {});
  return async () => {
    const seconds = Math.floor(now() / 1000);
    const assertion = await new SignJWT({ jti: crypto.randomUUID() })
      .setProtectedHeader({ alg: algorithm, kid, typ: 'JWT' })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(issuer)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + ASSERTION_LIFE_SECONDS)
      .sign(await imported);
    return { headers: {}, form: { client_assertion_type: ASSERTION_TYPE, client_assertion: assertion } };
  };
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are joined. */
function basic(clientId: string, clientSecret: string): () => Promise<Authentication> {
  if (!clientSecret) throw new TypeError('introspection needs a clientSecret');
  const authorization = `Basic ${btoa(`${formEncode(clientId)}:${formEncode(clientSecret)}`)}`;
  return async () => ({ headers: { authorization }, form: {} });
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1);
}

async function importKey(key: string | PrivateJwk | ImportedKey, algorithm: string) {
  if (typeof key === 'string') return importPKCS8(key, algorithm);
  return 'kty' in key ? importJWK(key as JWK, algorithm) : (key as CryptoKey);
}
