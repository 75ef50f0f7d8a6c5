import { hashSync, type Options, verifySync } from '@node-rs/argon2';

/** The tasks of a worker: make a hash, or compare with one. */
type HashTask = { password: string; options: Options };
type VerifyTask = { password: string; phc: string };

/** Makes a PHC string. Blocks its thread for the time of one hash: never call it in a thread that serves requests. */
export function hashPassword({ password, options }: HashTask): string {
  return hashSync(password, options);
}

/** Compares in constant time. Blocks its thread. Throws on a broken PHC string; the message quotes neither argument. */
export function verifyPassword({ password, phc }: VerifyTask): boolean {
  return verifySync(phc, password);
}
