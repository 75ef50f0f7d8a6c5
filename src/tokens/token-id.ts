import { randomFillSync } from 'node:crypto';

const ID_BYTES = 16;
/** Getting many random bytes from the system at once costs little more than getting a few. */
const pool = Buffer.alloc(256 * ID_BYTES);
let used = pool.length;

/** A `jti` (RFC 7519 §4.1.7): 128 random bits in base64url, 22 characters. */
export function createTokenId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += ID_BYTES;
  return pool.toString('base64url', used - ID_BYTES, used);
}
