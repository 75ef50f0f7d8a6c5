import { createCipheriv, createHash, hash, pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto';
import { verifySync as verifyArgon2 } from '@node-rs/argon2';
import { verifySync as verifyBcrypt } from '@node-rs/bcrypt';
import { MAX_SCRYPT_BYTES } from './hash-bounds.ts';
import { formerForm, normalizePassword } from './password-policy.ts';
import { PHPASS_DIGITS, readStoredHash, type Scheme, type StoredHash } from './stored-hash.ts';

/** Signer keys by the strengths of the hashes that they are part of, in base64. */
export type SignerKeys = Record<string, { signerKey: string; saltSeparator: string }>;

const FIREBASE_CIPHER_KEY_BYTES = 32;

type Verify = (stored: StoredHash, password: string, keys: SignerKeys) => boolean;

const VERIFY: Record<Scheme, Verify> = {
  argon2: ({ stored }, password) => verifyArgon2(stored, password),
  // Cuts the password at 72 bytes, as the origin did.
  bcrypt: ({ stored }, password) => verifyBcrypt(password, stored),
  scrypt: ({ parameters: [ln, r, p], salt, hash }, password) =>
    isSame(hash, scrypt(password, salt, hash.length, [Number(ln), Number(r), Number(p)])),
  fbscrypt: verifyFirebase,
  pbkdf2: ({ parameters: [digest, rounds], salt, hash }, password) =>
    isSame(hash, pbkdf2Sync(password, salt, Number(rounds), hash.length, String(digest))),
  sha2: ({ parameters: [digest, position], salt, hash }, password) => {
    const parts = [salt, Buffer.from(password)];
    if (position === 'suffix') parts.reverse();
    return isSame(hash, createHash(String(digest)).update(Buffer.concat(parts)).digest());
  },
  phpass: verifyPhpass,
};

/**
 * Whether a password fits a stored hash. A hash of ours is of a normal form of the password; one that came from elsewhere is
 * of what was typed there, or of the form that the origin made of it. Which forms are tried depends on the password and the
 * strength alone, so the time tells nothing about an account. Compares in constant time. Blocks its thread.
 */
export function verifyStoredHash(stored: string, password: string, keys: SignerKeys): boolean {
  const read = readStoredHash(stored);
  if (read === null) throw new Error('A stored password hash cannot be read');
  const matches = [...formsOf(read, password)].map((form) => VERIFY[read.scheme](read, form, keys));
  return matches.includes(true);
}

function formsOf({ scheme, parameters }: StoredHash, password: string): Set<string> {
  if (scheme === 'argon2')
    return new Set([password, normalizePassword(password), formerForm(password) ?? password]);
  return new Set(parameters.at(-1) === ',f=nfkc' ? [password, password.normalize('NFKC')] : [password]);
}

type ScryptCost = [ln: number, r: number, p: number];

function scrypt(password: string, salt: Buffer, bytes: number, [ln, r, p]: ScryptCost): Buffer {
  return scryptSync(password, salt, bytes, { N: 2 ** ln, r, p, maxmem: MAX_SCRYPT_BYTES });
}

/**
 * Firebase's scrypt: the hash is the project's signer key, encrypted with a key that scrypt makes of the password. Without
 * the key of this strength nothing fits; whoever asks has made sure that it is there.
 */
function verifyFirebase(
  { text, parameters, salt, hash }: StoredHash,
  password: string,
  keys: SignerKeys,
): boolean {
  const [, ln, r] = parameters;
  const { signerKey = '', saltSeparator = '' } = keys[text] ?? {};
  const salted = Buffer.concat([salt, Buffer.from(saltSeparator, 'base64')]);
  const key = scrypt(password, salted, FIREBASE_CIPHER_KEY_BYTES, [Number(ln), Number(r), 1]);
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return isSame(hash, cipher.update(Buffer.from(signerKey, 'base64')));
}

/** Portable PHP password hashing: MD5 of the hash before and the password, many times. */
function verifyPhpass({ parameters: [digit], salt, hash: expected }: StoredHash, password: string): boolean {
  const bytes = Buffer.from(password);
  let state = md5(Buffer.concat([salt, bytes]));
  for (let left = 2 ** PHPASS_DIGITS.indexOf(String(digit)); left > 0; left -= 1)
    state = md5(Buffer.concat([state, bytes]));
  return isSame(expected, Buffer.from(phpassBase64(state)));
}

const md5 = (bytes: Buffer): Buffer => hash('md5', bytes, 'buffer');

/** The base64 of crypt: the least bits first. */
function phpassBase64(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = Math.min(3, bytes.length - at);
    const value = bytes.readUIntLE(at, left);
    for (let digit = 0; digit <= left; digit += 1) text += PHPASS_DIGITS.charAt((value >> (6 * digit)) & 63);
  }
  return text;
}

function isSame(expected: Buffer, made: Buffer): boolean {
  return expected.length === made.length && timingSafeEqual(expected, made);
}
