import { hashSync, type Options, verifySync } from '@node-rs/argon2';

/** What a worker is sent: a hash to make, or one to compare with. */
type HashTask = { password: string; options: Options };
type VerifyTask = { password: string; phc: string };

/** Makes a PHC string. Blocks its thread for the time of one hash, so never call it where requests are served. */
export function hashPassword({ password, options }: HashTask): string {
  return hashSync(password, options);
}

/** Compares in constant time. Blocks its thread. Throws on a PHC string that does not parse; the message names neither. */
export function verifyPassword({ password, phc }: VerifyTask): boolean {
  return verifySync(phc, password);
}
