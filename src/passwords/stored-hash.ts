import { createHash } from 'node:crypto';

/**
 * The forms in which password hashes are stored: our own argon2id, and those that came with imported users. All but bcrypt
 * and phpass are `$<scheme>$<parameters>$<salt>$<hash>`, in base64 without padding. What stands before the salt is the
 * strength: two hashes of one strength cost the same to check. Numbers of argon2 have no leading zeros: the library that checks
 * it does not read them, and a decoy of such a strength would make every check fail.
 */
const SCHEMES = {
  argon2: /^\$argon2(?:id|i|d)\$v=(?:16|19)\$m=(0|[1-9]\d*),t=(0|[1-9]\d*),p=(0|[1-9]\d*)$/,
  bcrypt: /^\$2b\$(\d\d)$/,
  /** `f=nfkc`: the origin hashed the NFKC form of passwords. */
  scrypt: /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)(,f=nfkc)?$/,
  /** Firebase's: `k` names the signer key. */
  fbscrypt: /^\$fbscrypt\$k=([0-9a-f]{16}),ln=(\d+),r=(\d+)$/,
  /** `l`: the length of the hash, of which the cost depends, in bytes. */
  pbkdf2: /^\$pbkdf2-(sha1|sha256|sha512)\$i=(\d+),l=(\d+)$/,
  /** One round, with the salt before or after the password. */
  sha2: /^\$(sha256|sha512)\$s=(prefix|suffix)$/,
  /** MD5, 2^n times; n is a digit of `PHPASS_DIGITS`. */
  phpass: /^\$P\$([./0-9A-Za-z])$/,
};

export type Scheme = keyof typeof SCHEMES;

export type Strength = { text: string; scheme: Scheme; parameters: string[] };

export type StoredHash = Strength & { stored: string; salt: Buffer; hash: Buffer };

/** What Firebase mixes into all hashes of a project. Secret. */
export type SignerKey = { signerKey: Buffer; saltSeparator: Buffer };

export const PHPASS_DIGITS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const BCRYPT = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/;
const PHPASS = /^(\$P\$[./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$/;
const FIELDS = /^(.+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** The strength in a text, or null if it is none. */
export function readStrength(text: string): Strength | null {
  for (const [scheme, pattern] of Object.entries(SCHEMES)) {
    const match = pattern.exec(text);
    if (match !== null)
      return { text, scheme: scheme as Scheme, parameters: match.slice(1).map((one) => one ?? '') };
  }
  return null;
}

/** The parts of a stored hash, or null if it is none. The salt and the hash of bcrypt and phpass are their text. */
export function readStoredHash(stored: string): StoredHash | null {
  const [text, salt, hash, encoding] = fieldsOf(stored);
  const strength = readStrength(text);
  return (
    strength && { ...strength, stored, salt: Buffer.from(salt, encoding), hash: Buffer.from(hash, encoding) }
  );
}

type Fields = [strength: string, salt: string, hash: string, encoding: BufferEncoding];

function fieldsOf(stored: string): Fields {
  const bcrypt = BCRYPT.exec(stored);
  // The letter tells of bugs in old programs, and costs nothing.
  if (bcrypt !== null) return [`$2b$${bcrypt[1]}`, String(bcrypt[2]), String(bcrypt[3]), 'latin1'];
  const phpass = PHPASS.exec(stored);
  const [, strength = '', salt = '', hash = ''] = phpass ?? FIELDS.exec(stored) ?? [];
  return [strength, salt, hash, phpass === null ? 'base64' : 'latin1'];
}

/** A stored hash, from its parts. */
export function writeStoredHash(strength: string, salt: Buffer, hash: Buffer): string {
  return `${strength}$${toBase64(salt)}$${toBase64(hash)}`;
}

/** Without padding, as in PHC strings. */
function toBase64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

/** The name of a signer key: the same for the same key, wherever it is imported. */
export function signerKeyId({ signerKey, saltSeparator }: SignerKey): string {
  const hash = createHash('sha256').update(toBase64(saltSeparator)).update('$').update(signerKey);
  return hash.digest('hex').slice(0, 16);
}

/**
 * A hash of that strength that no password fits, to be checked in place of one that does not exist.
 * @param random as `randomBytes` of node:crypto
 */
export function makeDecoy({ text, scheme, parameters }: Strength, random: (bytes: number) => Buffer): string {
  if (scheme === 'bcrypt') return `${text}$${bcryptBase64(random(16))}${bcryptBase64(random(23))}`;
  if (scheme === 'phpass') return `${text}${bcryptBase64(random(6))}${bcryptBase64(random(16))}`;
  const bytes = scheme === 'pbkdf2' ? Number(parameters[2]) : 32;
  return writeStoredHash(text, random(16), random(bytes));
}

const BASE64_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
export const BCRYPT_DIGITS = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Base64 with the digits of bcrypt. */
function bcryptBase64(bytes: Buffer): string {
  return toBase64(bytes).replace(/./g, (digit) => BCRYPT_DIGITS.charAt(BASE64_DIGITS.indexOf(digit)));
}
