import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export const issuer = 'https://auth.example.com';

/** Milliseconds. Tests that move time start from here. */
export const start = 1_800_000_000_000;
const startSeconds = start / 1000;

/** The audience of single-use tokens for the shop. */
export const onceAtShop = 'urn:doorward:once:shop';

/** Members to change; `undefined` removes one. */
export type Changes = Record<string, unknown>;

export type Signer = Awaited<ReturnType<typeof createSigner>>;

/** A new signing key, and tokens of it. */
export async function createSigner(algorithm = 'ES256') {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  const jwk: JWK & { kid: string; alg: string } = { ...publicJwk, kid, alg: algorithm, use: 'sig' };
  return {
    kid,
    jwk,
    publicKey,
    privateKey,
    /** An access token that is valid at the shop for five minutes from `start`, except for the changes. */
    sign: (claims: Changes = {}, header: Changes = {}): Promise<string> =>
      new SignJWT({ ...claimsAt(startSeconds), ...claims })
        .setProtectedHeader({ alg: algorithm, kid, typ: 'at+jwt', ...header })
        .sign(privateKey),
  };
}

/** The claims of a user's access token. */
export function claimsAt(seconds: number) {
  return {
    iss: issuer,
    sub: 'user-1',
    aud: 'shop',
    client_id: 'browser',
    iat: seconds,
    exp: seconds + 300,
    jti: crypto.randomUUID(),
    sid: 'session-1',
    email: 'ada@example.com',
    email_verified: true,
    auth_time: seconds - 60,
    scope: 'orders:read orders:write',
  };
}

export function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** The code with which a promise is rejected; any other error as text. */
export async function codeOf(refused: Promise<unknown>): Promise<string> {
  return refused.then(
    () => 'ok',
    (error) => (error.name === 'VerifierError' ? error.code : `not ours: ${error}`),
  );
}
