import { phcBase64 } from './foreign-record.ts';

/**
 * A password of Django without what Django alone writes around the hash. Its PBKDF2 is known here as it is.
 * @returns null for one that cannot be used, which Django starts with an exclamation mark
 */
export function djangoHash(encoded: string): string | null {
  if (encoded.startsWith('!')) return null;
  const [name, ...parts] = encoded.split('$');
  if (name === 'argon2') return `$${parts.join('$')}`;
  if (name === 'bcrypt') return parts.join('$');
  return name === 'scrypt' ? phcScrypt(parts) : encoded;
}

/** N, salt, r, p and hash. Django's salts are texts, whose bytes count. */
function phcScrypt([n, salt = '', r, p, hash = '']: string[]): string {
  const salted = phcBase64(Buffer.from(salt).toString('base64'));
  return `$scrypt$ln=${Math.log2(Number(n))},r=${r},p=${p}$${salted}$${phcBase64(hash)}`;
}
