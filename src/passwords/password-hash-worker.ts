import { hashSync, type Options } from '@node-rs/argon2';
import { type SignerKeys, verifyStoredHash } from './verify-stored-hash.ts';

/** The tasks of a worker: make a hash, or compare with one. */
type HashTask = { password: string; options: Options };
type VerifyTask = {
  /** As it was typed. */
  password: string;
  /** Hashes to compare with, all of them. */
  hashes: string[];
  keys?: SignerKeys;
};

/** Makes a PHC string. Blocks its thread for the time of one hash: never call it in a thread that serves requests. */
export function hashPassword({ password, options }: HashTask): string {
  return hashSync(password, options);
}

/**
 * Whether one of the hashes matches. Compares with all of them even after a match, so that the time does not tell a right
 * password whose account may not sign in. Blocks its thread. Throws on a hash that cannot be read; the message quotes no
 * argument.
 */
export function verifyPassword({ password, hashes, keys = {} }: VerifyTask): boolean {
  const matches = hashes.map((stored) => verifyStoredHash(stored, password, keys));
  return matches.includes(true);
}
