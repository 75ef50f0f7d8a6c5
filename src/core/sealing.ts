import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A key for one purpose (HKDF, RFC 5869): what is sealed for one cannot be opened by another. */
export function deriveKey(secret: Buffer, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', purpose, KEY_BYTES)));
}

/**
 * Encrypts and authenticates a text with AES-256-GCM. With random nonces, one key is safe for 2^32 texts.
 * @param associated must be the same when it is opened
 * @returns in base64, the nonce (12 bytes), the tag (16 bytes) and the ciphertext
 */
export function sealText(key: KeyObject, associated: Buffer, text: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, key, iv).setAAD(associated);
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]).toString('base64');
}

/** What `sealText` has sealed; null if the key or the associated data is another one, or the bytes were changed. */
export function openText(key: KeyObject, associated: Buffer, sealed: string): string | null {
  const bytes = Buffer.from(sealed, 'base64');
  if (bytes.length < IV_BYTES + TAG_BYTES) return null;
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(associated).setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
  const opened = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES));
  try {
    // The only error here is a tag that does not match.
    decipher.final();
  } catch {
    return null;
  }
  // Not through a StringDecoder, which is what an encoding above would add: GCM has no block left over at the end.
  return opened.toString('utf8');
}
