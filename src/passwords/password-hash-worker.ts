import { hashSync, type Options, verifySync } from '@node-rs/argon2';

/** The tasks of a worker: make a hash, or compare with one. */
type HashTask = { password: string; options: Options };
type VerifyTask = {
  password: string;
  /** Another form of the same password, which is tried as well. */
  formerForm?: string | null;
  /** Hashes to compare with, all of them. */
  phcs: string[];
};

/** Makes a PHC string. Blocks its thread for the time of one hash: never call it in a thread that serves requests. */
export function hashPassword({ password, options }: HashTask): string {
  return hashSync(password, options);
}

/**
 * Whether one of the hashes matches. Compares in constant time, and with all of them even after a match, so that the time
 * does not tell a right password whose account may not sign in. Blocks its thread. Throws on a broken PHC string; the
 * message quotes no argument.
 */
export function verifyPassword({ password, formerForm = null, phcs }: VerifyTask): boolean {
  const forms = formerForm === null ? [password] : [password, formerForm];
  const matches = phcs.flatMap((phc) => forms.map((form) => verifySync(phc, form)));
  return matches.includes(true);
}
