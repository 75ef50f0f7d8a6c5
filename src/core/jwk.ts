/**
 * The JWS algorithms of signing keys (RFC 7518 §3.1, RFC 8037 §3.1). When the setting changes, older keys keep their
 * algorithm, so tokens of several algorithms may be valid at the same time.
 */
export const SIGNING_ALGORITHMS = ['ES256', 'EdDSA', 'RS256'] as const;

export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A public key as the JWKS shows it (RFC 7517 §4). It never has private members. */
export type PublicJwk = { kty: string; use: string; alg: string; kid: string; [member: string]: string };
