import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a code is good for, and for how long, in milliseconds. */
export const CODE_LIFE_MS = {
  verify_email: DAY_MS,
  reset_password: 10 * 60_000,
  /** Sent without being asked for, so whoever gets it needs time to see it. */
  invitation: 7 * DAY_MS,
  change_email: 10 * 60_000,
  undo_email_change: 7 * DAY_MS,
  not_me: 7 * DAY_MS,
  undo_deletion: 7 * DAY_MS,
} as const;

export type CodePurpose = keyof typeof CODE_LIFE_MS;

/**
 * Codes with which owners take their account back. Whoever has stolen it may change the password and the address, and these
 * must go on working then.
 */
export const DEFENCES: CodePurpose[] = ['undo_email_change', 'not_me', 'undo_deletion'];

/** Base 32 of Crockford: without I, L, O and U, which are taken for 1, 0 and V. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TYPED_LENGTH = 8;
const LINK_BYTES = 32;

/** 256 random bits in base64url. */
export function createLinkCode(): string {
  return randomBytes(LINK_BYTES).toString('base64url');
}

/** Whether a text has the form of the code in a link, and not of one for typing. */
export function isLinkCode(text: string): boolean {
  return /^[\w-]{43}$/.test(text);
}

/** 40 random bits for people, such as `7K3M-9QXD`. Few tries make up for the length. */
export function createTypedCode(): string {
  const letters = Array.from({ length: TYPED_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]);
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`;
}

/** A typed code in the one form that is hashed: small letters, spaces, dashes and look-alikes do not matter. */
export function normalizeTypedCode(text: string): string {
  return text
    .toUpperCase()
    .replace(/[\s\p{Pd}]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1');
}

export function hashLinkCode(code: string): Buffer {
  return createHash('sha256').update(code).digest();
}

/** @param id of the row: equal codes of two users have different hashes */
export function hashTypedCode(id: string, code: string): Buffer {
  return createHash('sha256')
    .update(`${id} ${normalizeTypedCode(code)}`)
    .digest();
}

/** Whether this is the code for typing of that row. Takes the same time for any wrong one. */
export function isTypedCode(row: { id: string; typedHash: Buffer }, code: string): boolean {
  return timingSafeEqual(row.typedHash, hashTypedCode(row.id, code));
}
