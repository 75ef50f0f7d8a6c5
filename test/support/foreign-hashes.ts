import { createCipheriv, createHash, pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto';
import { hashSync as argon2 } from '@node-rs/argon2';
import { hashSync as bcrypt } from '@node-rs/bcrypt';

const base64 = (bytes: Buffer) => bytes.toString('base64');
const unpadded = (bytes: Buffer) => base64(bytes).replaceAll('=', '');

/** Firebase's scrypt, by its formula. */
export function firebaseHash(password: string, key = randomBytes(64), ln = 4): string {
  const [salt, separator] = [randomBytes(12), Buffer.from('Bw==', 'base64')];
  const derived = scryptSync(password, Buffer.concat([salt, separator]), 64, { N: 2 ** ln, r: 8, p: 1 });
  const cipher = createCipheriv('aes-256-ctr', derived.subarray(0, 32), Buffer.alloc(16));
  const hash = base64(Buffer.concat([cipher.update(key), cipher.final()]));
  return `$fbscrypt$v=1,n=${ln},r=8,p=1,ss=Bw==,sk=${base64(key)}$${base64(salt)}$${hash}`;
}

/** phpass, by its formula, with 2^7 rounds. */
function phpassHash(password: string, prefix: string): string {
  const digits = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  let state = createHash('md5').update(`saltsalt${password}`).digest();
  for (let round = 0; round < 128; round += 1)
    state = createHash('md5').update(state).update(password).digest();
  let bits = '';
  for (let at = 0; at < 16; at += 3)
    bits += [...state.subarray(at, at + 3)]
      .reverse()
      .map((byte) => byte.toString(2).padStart(8, '0'))
      .join('')
      .padStart(Math.ceil((8 * Math.min(3, 16 - at)) / 6) * 6, '0')
      .match(/.{6}/g)
      ?.reverse()
      .map((six) => digits[Number.parseInt(six, 2)])
      .join('');
  return `${prefix}5saltsalt${bits}`;
}

/** A hash of the password in each form that is known, as cheap as it may be, made by other means than those that check it. */
export function foreignHashesOf(password: string): Record<string, string> {
  const salt = randomBytes(16);
  const scrypt = (bytes: Buffer | string, n = 16, r = 8) =>
    scryptSync(password, bytes, 64, { N: n, r, p: 1 });
  const pbkdf2 = (digest: string, bytes: number, salted: Buffer | string = salt) =>
    pbkdf2Sync(password, salted, 1_000, bytes, digest);
  const weak = { memoryCost: 64, timeCost: 1, parallelism: 1 };
  const text = base64(salt).replaceAll('=', '');
  const hexSalt = salt.toString('hex');
  const nfkc = scryptSync(password.normalize('NFKC'), hexSalt, 64, {
    N: 16_384,
    r: 16,
    p: 1,
    maxmem: 2 ** 26,
  });
  const sha = (digest: string, ...parts: (string | Buffer)[]) => {
    const hash = createHash(digest);
    for (const part of parts) hash.update(part);
    return base64(hash.digest());
  };
  return {
    'bcrypt 2a': bcrypt(password, 4).replace('2b', '2a'),
    'bcrypt 2b': bcrypt(password, 4),
    'bcrypt 2y': bcrypt(password, 4).replace('2b', '2y'),
    argon2d: argon2(password, { ...weak, algorithm: 0 }),
    argon2i: argon2(password, { ...weak, algorithm: 1 }),
    argon2id: argon2(password, { ...weak, outputLen: 64 }),
    'argon2id of version 16': argon2(password, { ...weak, version: 0 }).replace('$v=16', ''),
    'scrypt in PHC form': `$scrypt$ln=4,r=8,p=1$${unpadded(salt)}$${unpadded(scrypt(salt))}`,
    'scrypt of Kratos': `$scrypt$ln=1024,r=8,p=1$${base64(salt)}$${base64(scrypt(salt, 1_024))}`,
    'better-auth': `${hexSalt}:${nfkc.toString('hex')}`,
    'Firebase, as Supabase has it': firebaseHash(password),
    'Django, SHA-256': `pbkdf2_sha256$1000$${text}$${base64(pbkdf2('sha256', 32, text))}`,
    'Django, SHA-1': `pbkdf2_sha1$1000$${text}$${base64(pbkdf2('sha1', 20, text))}`,
    'PBKDF2 of Keycloak': `$pbkdf2-sha512$i=1000$${base64(salt)}$${base64(pbkdf2('sha512', 64))}`,
    'PBKDF2 in PHC form': `$pbkdf2-sha256$i=1000,l=64$${unpadded(salt)}$${unpadded(pbkdf2('sha256', 64))}`,
    'PBKDF2 of passlib': `$pbkdf2$1000$${unpadded(salt).replaceAll('+', '.')}$${unpadded(pbkdf2('sha1', 20)).replaceAll('+', '.')}`,
    'SHA-256, salt before': `$sha256$s=prefix$${base64(salt)}$${sha('sha256', salt, password)}`,
    'SHA-512, salt after': `$sha512$s=suffix$${base64(salt)}$${sha('sha512', password, salt)}`,
    'phpass $P$': phpassHash(password, '$P$'),
    'phpass $H$': phpassHash(password, '$H$'),
  };
}
