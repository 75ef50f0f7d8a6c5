import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Says what it is, so that a secret scanner can tell one in a repository. */
const PREFIX = 'dws_';

/** 32 bytes in base64url; the last of the 43 characters carries four bits. */
const SHAPE = /^dws_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** A new client secret: 256 random bits, 47 characters. */
export function createClientSecret(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/** Whether `value` can be a client secret at all. */
export function isClientSecret(value: string): boolean {
  return SHAPE.test(value);
}

/** What the database keeps of a client secret: 32 bytes. A plain hash will do, for nobody guesses 256 bits. */
export function hashClientSecret(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest();
}

/** Whether the secret has one of the hashes, in a time that does not tell how nearly. */
export function matchesSecret(secret: string, hashes: Buffer[]): boolean {
  const hash = hashClientSecret(secret);
  return hashes.filter((known) => timingSafeEqual(known, hash)).length > 0;
}
