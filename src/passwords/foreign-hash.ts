import { boundProblem } from './hash-bounds.ts';
import {
  BCRYPT_DIGITS,
  readStoredHash,
  readStrength,
  type SignerKey,
  signerKeyId,
  writeStoredHash,
} from './stored-hash.ts';

/** A hash that came with a user, as it will be stored. */
export type ForeignHash = {
  /** Tells by itself how a password is compared with it. */
  stored: string;
  /** The part of it that says what a check costs. */
  strength: string;
  /** Firebase's, if the text carried it: it is to be sealed, under this strength, and not to be stored with each hash. */
  key?: SignerKey;
};

/** Why a hash cannot be taken: a sentence for the operator, which quotes neither the salt nor the hash. */
export type HashProblem = { problem: string };

const MAX_LENGTH = 1_000;
const MAX_SALT_BYTES = 128;
/** At least 128 bits: a shorter one could be found by chance. */
const HASH_BYTES = { least: 16, most: 128 };

type Reader = { form: RegExp; read(match: string[]): ForeignHash | HashProblem };

const BASE64 = '([A-Za-z0-9+/._-]+=*)';

/** By what they look like. The first that fits reads the text. */
const READERS: Reader[] = [
  { form: /^(\$2[aby]\$\d\d\$[./A-Za-z0-9]{21})([./A-Za-z0-9])([./A-Za-z0-9]{31})$/, read: readBcrypt },
  {
    form: /^\$2x\$/,
    read: () => refuse('was made by a program whose bcrypt had a bug ($2x$), so it cannot be checked safely'),
  },
  {
    form: new RegExp(
      `^(\\$argon2(?:id|i|d))(\\$v=(?:16|19))?(\\$m=\\d+,t=\\d+,p=\\d+)\\$${BASE64}\\$${BASE64}$`,
    ),
    // Without a version it is the first one.
    read: ([, scheme, version, cost, salt, hash]) =>
      compose(`${scheme}${version ?? '$v=16'}${withoutZeros(cost)}`, fromBase64(salt), fromBase64(hash)),
  },
  {
    form: new RegExp(`^\\$scrypt\\$ln=(\\d+)(,r=\\d+,p=\\d+(?:,f=nfkc)?)\\$${BASE64}\\$${BASE64}$`),
    read: ([, ln, rest, salt, hash]) =>
      compose(`$scrypt$ln=${logarithm(Number(ln))}${withoutZeros(rest)}`, fromBase64(salt), fromBase64(hash)),
  },
  // better-auth: the salt is the hexadecimal text itself.
  {
    form: /^([0-9a-f]{32}):([0-9a-f]{128})$/,
    read: ([, salt, hash]) =>
      compose('$scrypt$ln=14,r=16,p=1,f=nfkc', Buffer.from(String(salt)), Buffer.from(String(hash), 'hex')),
  },
  {
    form: new RegExp(
      `^\\$fbscrypt\\$v=1,n=(\\d+),r=(\\d+),p=1,ss=([A-Za-z0-9+/_-]*=*),sk=([A-Za-z0-9+/_-]+=*)\\$${BASE64}\\$${BASE64}$`,
    ),
    read: readFirebase,
  },
  {
    form: new RegExp(`^(\\$fbscrypt\\$k=[0-9a-f]{16},ln=\\d+,r=\\d+)\\$${BASE64}\\$${BASE64}$`),
    read: ([, strength, salt, hash]) => compose(String(strength), fromBase64(salt), fromBase64(hash)),
  },
  // The length is written in few programs; it is that of the hash.
  {
    form: new RegExp(
      `^\\$pbkdf2(?:-(sha1|sha256|sha512))?\\$(?:i=)?(\\d+)(?:,l=\\d+)?\\$${BASE64}\\$${BASE64}$`,
    ),
    read: ([, digest, rounds, salt, hash]) =>
      composePbkdf2(digest ?? 'sha1', Number(rounds), fromBase64(salt), fromBase64(hash)),
  },
  // Django: the salt is text.
  {
    form: new RegExp(`^pbkdf2_(sha1|sha256)\\$(\\d+)\\$([!-#%-~]+)\\$${BASE64}$`),
    read: ([, digest, rounds, salt, hash]) =>
      composePbkdf2(String(digest), Number(rounds), Buffer.from(String(salt)), fromBase64(hash)),
  },
  {
    form: new RegExp(`^(\\$(sha256|sha512)\\$s=(?:prefix|suffix))\\$${BASE64}\\$${BASE64}$`),
    read: ([, strength, digest, salt, hash]) => {
      const bytes = fromBase64(hash);
      return bytes.length === Number(digest?.slice(3)) / 8
        ? compose(String(strength), fromBase64(salt), bytes)
        : refuse(`is not as long as one of ${digest} is`);
    },
  },
  {
    form: /^\$[PH]\$([./0-9A-Za-z]{31})$/,
    read: ([, rest]) => checked({ stored: `$P$${rest}` }),
  },
];

/**
 * Reads a password hash as another system exports it, or as it is stored here. Knows bcrypt, argon2, scrypt (PHC, Kratos,
 * better-auth), Firebase's scrypt in the form of Supabase, PBKDF2 (PHC, passlib, Django), phpass, and SHA-2 with a salt in
 * our own form. Refuses what would cost too much to check. Never throws.
 */
export function readForeignHash(text: string): ForeignHash | HashProblem {
  if (text.length > MAX_LENGTH) return refuse('is too long');
  for (const { form, read } of READERS) {
    const match = form.exec(text);
    if (match !== null) return read(match);
  }
  return refuse('is of no form that is known here');
}

/**
 * A stored hash as text that `readForeignHash` reads on another server too: with the key that belongs to it, if there is one.
 * @param keys by strengths
 */
export function writeForeignHash(stored: string, keys: Map<string, SignerKey | null>): string {
  const [, strength = '', ln, r, rest] = /^(\$fbscrypt\$k=\w+,ln=(\d+),r=(\d+))(.+)$/.exec(stored) ?? [];
  const key = keys.get(strength);
  if (!key) return stored;
  const [separator, signerKey] = [key.saltSeparator, key.signerKey].map((part) => part.toString('base64'));
  return `$fbscrypt$v=1,n=${ln},r=${r},p=1,ss=${separator},sk=${signerKey}${rest}`;
}

function composePbkdf2(
  digest: string,
  rounds: number,
  salt: Buffer,
  hash: Buffer,
): ForeignHash | HashProblem {
  return compose(`$pbkdf2-${digest}$i=${rounds},l=${hash.length}`, salt, hash);
}

/** A hash from its parts, if it may be taken. */
function compose(strength: string, salt: Buffer, hash: Buffer): ForeignHash | HashProblem {
  if (salt.length === 0) return refuse('has no salt');
  if (salt.length > MAX_SALT_BYTES) return refuse('has a salt that is too long');
  if (hash.length < HASH_BYTES.least) return refuse('is too short');
  if (hash.length > HASH_BYTES.most) return refuse('is too long');
  const known = readStrength(strength);
  // RFC 9106 §3.1.
  if (known?.scheme === 'argon2' && salt.length < 8) return refuse('has a salt that is too short');
  return checked({ stored: writeStoredHash(strength, salt, hash) });
}

/** Bits of the last digit of a salt that mean nothing are set by some programs; they must not stop the comparison. */
function readBcrypt([, start, last, hash]: string[]): ForeignHash | HashProblem {
  const digit = BCRYPT_DIGITS.charAt(BCRYPT_DIGITS.indexOf(String(last)) & 0b110000);
  return checked({ stored: `${start}${digit}${hash}` });
}

function readFirebase([, ln, r, separator, signerKey, salt, hash]: string[]): ForeignHash | HashProblem {
  const key = { signerKey: fromBase64(signerKey), saltSeparator: fromBase64(separator) };
  const read = compose(
    `$fbscrypt$k=${signerKeyId(key)},ln=${Number(ln)},r=${Number(r)}`,
    fromBase64(salt),
    fromBase64(hash),
  );
  return 'problem' in read ? read : { ...read, key };
}

function checked({ stored }: { stored: string }): ForeignHash | HashProblem {
  const read = readStoredHash(stored);
  if (read === null) return refuse('has parameters that are not known here');
  const problem = boundProblem(read);
  return problem === null ? { stored, strength: read.text } : refuse(problem);
}

/** Kratos writes N itself, others its logarithm. No N is as small as a logarithm, and no logarithm as large as an N. */
function logarithm(ln: number): number {
  return ln > 40 ? Math.log2(ln) : ln;
}

/** Numbers without leading zeros: one cost is one strength. */
function withoutZeros(cost: string | undefined): string {
  return String(cost).replace(/=0+(?=\d)/g, '=');
}

/** Also of the alphabet of URLs, and of that of passlib, with and without padding. */
function fromBase64(text: string | undefined): Buffer {
  return Buffer.from(String(text).replaceAll('.', '+'), 'base64');
}

function refuse(why: string): HashProblem {
  return { problem: `The password hash ${why}.` };
}
