/**
 * A key in memory: a `CryptoKey` of Web Crypto, or a `KeyObject` of Node. A type of our own, so that a service needs
 * neither the types of `jose` nor those of the DOM.
 */
export type ImportedKey = { readonly type: string };

/** A private key as JSON (RFC 7517), with the members of its kind. */
export type PrivateJwk = { kty?: string; d?: string };
