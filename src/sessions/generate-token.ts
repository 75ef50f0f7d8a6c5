import { hash, randomBytes } from 'node:crypto';

/** 32 bytes in base64url have 43 characters, and the last one carries four bits: 16 letters are possible there. */
const SHAPE = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** A new generate token: 256 random bits in base64url, 43 characters. */
export function createGenerateToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Whether `value` can be a generate token at all. Anything else costs no look-up. */
export function isGenerateToken(value: string): boolean {
  return SHAPE.test(value);
}

/** What the database keeps of a generate token: the SHA-256 of its 43 characters, 32 bytes. */
export function hashGenerateToken(token: string): Buffer {
  // Through a string: Node takes twice as long to return bytes.
  return Buffer.from(hash('sha256', token, 'hex'), 'hex');
}
