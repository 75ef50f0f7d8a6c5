import { PHPASS_DIGITS, type Scheme, type Strength } from './stored-hash.ts';

/**
 * What a check may cost: a second by the measures below, so two on a machine half as fast, and this much memory. Whoever
 * could bring a dearer hash into the database could stop a server with one sign-in.
 */
const MOST_MS = 1_000;
const MOST_MIB = 256;
/** Every check of a password costs one hash of each strength that there is, so that the time tells nothing. */
export const MOST_MS_OF_ALL = 1_500;

/**
 * CPU time of one unit of work, in milliseconds: measured in 2026 on one core of a server (Intel Xeon, with the SHA
 * instructions) by `process.cpuUsage()`, the least of three, with the functions that check hashes here. Those of SHA-1
 * and SHA-256 are rounded up to what a core without these instructions needs.
 */
const MS = {
  bcryptRound: 0.06, // cost 10: 61 ms
  argon2MibPass: 0.5, // 256 MiB, 4 passes: 460 ms
  argon2Pass: 0.15, // its lanes wait for one another: 64 KiB, 30,000 passes, 8 lanes: 3.6 s
  scryptBlock: 0.00036, // N = 2^17, r = 8: 369 ms
  pbkdf2Round: { sha1: 0.0004, sha256: 0.0004, sha512: 0.00052 }, // a million rounds of SHA-512: 514 ms
  phpassRound: 0.0015, // 2^13 rounds: 10 ms
  sha2: 0.01,
};
const DIGEST_BYTES = { sha1: 20, sha256: 32, sha512: 64 };
type Digest = keyof typeof DIGEST_BYTES;

const MS_OF: Record<Scheme, (parameters: string[]) => number> = {
  bcrypt: ([cost]) => MS.bcryptRound * 2 ** Number(cost),
  argon2: ([kib, passes]) => ((MS.argon2MibPass * Number(kib)) / 1024 + MS.argon2Pass) * Number(passes),
  // Its PBKDF2, before and after, is most of it where N is small.
  scrypt: ([ln, r, p]) => MS.scryptBlock * (2 ** Number(ln) + 4) * Number(r) * Number(p),
  fbscrypt: ([, ln, r]) => MS.scryptBlock * 2 ** Number(ln) * Number(r),
  pbkdf2: ([digest, rounds, bytes]) =>
    MS.pbkdf2Round[digest as Digest] *
    Number(rounds) *
    Math.ceil(Number(bytes) / DIGEST_BYTES[digest as Digest]),
  sha2: () => MS.sha2,
  phpass: ([digit]) => MS.phpassRound * 2 ** PHPASS_DIGITS.indexOf(String(digit)),
};

const BYTES_OF: Partial<Record<Scheme, (parameters: string[]) => number>> = {
  argon2: ([kib]) => Number(kib) * 1024,
  scrypt: ([ln, r, p]) => scryptBytes(Number(ln), Number(r), Number(p)),
  fbscrypt: ([, ln, r]) => scryptBytes(Number(ln), Number(r), 1),
};

/** Steps of an algorithm of which nobody uses so many, whatever they cost: the binary logarithm of N, and passes. */
const MOST_STEPS: Partial<Record<Scheme, (parameters: string[]) => boolean>> = {
  argon2: ([, passes]) => Number(passes) <= 10,
  scrypt: ([ln]) => Number(ln) <= 17,
  fbscrypt: ([, ln]) => Number(ln) <= 17,
};

/** What the algorithms can be run with. */
const POSSIBLE: Partial<Record<Scheme, (parameters: string[]) => boolean>> = {
  bcrypt: ([cost]) => Number(cost) >= 4,
  argon2: ([kib, passes, lanes]) =>
    Number(passes) >= 1 && Number(lanes) >= 1 && Number(lanes) <= 255 && Number(kib) >= 8 * Number(lanes),
  scrypt: ([ln, r, p]) => isScrypt(Number(ln), Number(r), Number(p)),
  fbscrypt: ([, ln, r]) => isScrypt(Number(ln), Number(r), 1),
  pbkdf2: ([, rounds]) => Number(rounds) >= 1,
};

/** What node:crypto may take for scrypt. */
export const MAX_SCRYPT_BYTES = MOST_MIB * 2 ** 20;

/** RFC 7914 §2, and within the memory. */
function isScrypt(ln: number, r: number, p: number): boolean {
  return ln >= 1 && r >= 1 && p >= 1 && ln < 16 * r && scryptBytes(ln, r, p) <= MAX_SCRYPT_BYTES;
}

/** As OpenSSL counts it: two blocks, and one for each p, beside the N. */
function scryptBytes(ln: number, r: number, p: number): number {
  return 128 * r * (2 ** ln + 2 + p);
}

/** Whether the algorithm can be run with these parameters. */
export function isPossible({ scheme, parameters }: Strength): boolean {
  return POSSIBLE[scheme]?.(parameters) ?? true;
}

/** About how long a check takes, in milliseconds on the machine of the measures. */
export function costMsOf({ scheme, parameters }: Strength): number {
  return MS_OF[scheme](parameters);
}

/** Why hashes of this strength cannot be taken, as the end of a sentence; null if they can. */
export function boundProblem(strength: Strength): string | null {
  const { scheme, parameters, text } = strength;
  const mib = (BYTES_OF[scheme]?.(parameters) ?? 0) / 2 ** 20;
  if (mib > MOST_MIB)
    return `needs ${Math.ceil(mib)} MiB of memory for each sign-in (${text}), and at most ${MOST_MIB} are allowed`;
  if (!isPossible(strength)) return `has parameters with which it cannot be checked (${text})`;
  const ms = costMsOf(strength);
  if (ms > MOST_MS)
    return `takes about ${(ms / 1000).toFixed(1)} seconds for each sign-in (${text}), and at most ${MOST_MS / 1000} is allowed`;
  if (MOST_STEPS[scheme]?.(parameters) === false)
    return `is dearer than any system makes them (${text}): scrypt has an N of 2^17 at most, and argon2 10 passes`;
  return null;
}
