import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Lets a secret scanner recognize a secret in a repository. */
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

/** What the database keeps of a client secret: 32 bytes. A plain hash is enough, since 256 bits cannot be guessed. */
export function hashClientSecret(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest();
}

/** Whether the secret has one of the hashes, compared in constant time. */
export function matchesSecret(secret: string, hashes: Buffer[]): boolean {
  const hash = hashClientSecret(secret);
  return hashes.filter((known) => timingSafeEqual(known, hash)).length > 0;
}
