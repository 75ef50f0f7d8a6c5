import { randomBytes } from 'node:crypto';
import { hashSync as bcrypt } from '@node-rs/bcrypt';
import fc from 'fast-check';
import { test } from 'tap';
import { readForeignHash } from '../../src/passwords/foreign-hash.ts';
import { costMsOf } from '../../src/passwords/hash-bounds.ts';
import { makeDecoy, readStoredHash, readStrength } from '../../src/passwords/stored-hash.ts';
import { verifyStoredHash } from '../../src/passwords/verify-stored-hash.ts';
import { foreignHashesOf } from '../support/foreign-hashes.ts';

const KNOWN = foreignHashesOf('a password');
const SALT = randomBytes(16).toString('base64');
const HASH = randomBytes(32).toString('base64');

function problemOf(text: string): string {
  const read = readForeignHash(text);
  return 'problem' in read ? read.problem : `none: ${read.strength}`;
}

function read(text: string) {
  const hash = readForeignHash(text);
  if ('problem' in hash) throw new Error(hash.problem);
  return hash;
}

test('each form becomes one that is stored, which tells its cost and reads as itself', (t) => {
  for (const [name, text] of Object.entries(KNOWN)) {
    const { stored, strength } = read(text);
    t.match(read(stored), { stored, strength }, name);
    t.equal(readStoredHash(stored)?.text, strength, name);
    t.ok(costMsOf(readStrength(strength) as never) < 250, name);
  }
  t.end();
});

test('the strengths are those of the stored forms', (t) => {
  t.strictSame(
    Object.fromEntries(
      Object.entries(KNOWN).map(([name, text]) => [name, read(text).strength.replace(/k=\w{16}/, 'k=')]),
    ),
    {
      ...{ 'bcrypt 2a': '$2b$04', 'bcrypt 2b': '$2b$04', 'bcrypt 2y': '$2b$04' },
      argon2d: '$argon2d$v=19$m=64,t=1,p=1',
      argon2i: '$argon2i$v=19$m=64,t=1,p=1',
      argon2id: '$argon2id$v=19$m=64,t=1,p=1',
      'argon2id of version 16': '$argon2id$v=16$m=64,t=1,p=1',
      'scrypt in PHC form': '$scrypt$ln=4,r=8,p=1',
      'scrypt of Kratos': '$scrypt$ln=10,r=8,p=1',
      'better-auth': '$scrypt$ln=14,r=16,p=1,f=nfkc',
      'Firebase, as Supabase has it': '$fbscrypt$k=,ln=4,r=8',
      'Django, SHA-256': '$pbkdf2-sha256$i=1000,l=32',
      'Django, SHA-1': '$pbkdf2-sha1$i=1000,l=20',
      'PBKDF2 of Keycloak': '$pbkdf2-sha512$i=1000,l=64',
      'PBKDF2 in PHC form': '$pbkdf2-sha256$i=1000,l=64',
      'PBKDF2 of passlib': '$pbkdf2-sha1$i=1000,l=20',
      'SHA-256, salt before': '$sha256$s=prefix',
      'SHA-512, salt after': '$sha512$s=suffix',
      ...{ 'phpass $P$': '$P$5', 'phpass $H$': '$P$5' },
    },
  );
  t.end();
});

test("Firebase's key comes apart from the hash, and has one name for all hashes of a project", (t) => {
  const text = String(KNOWN['Firebase, as Supabase has it']);
  const { stored, strength, key } = read(text);
  const signerKey = /sk=([^$]+)/.exec(text)?.[1];
  t.equal(key?.signerKey.toString('base64'), signerKey);
  t.equal(key?.saltSeparator.toString('base64'), 'Bw==');
  t.notMatch(stored, signerKey);
  t.equal(read(text.replace(/\$[^$]+\$[^$]+$/, `$${SALT}$${HASH}`)).strength, strength);
  t.not(read(text.replace('ss=Bw==', 'ss=')).strength, strength);
  t.end();
});

test('bits that mean nothing at the end of the salt of a bcrypt hash are taken away', (t) => {
  const hash = bcrypt('a password', 4);
  const digits = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const last = digits[digits.indexOf(hash.charAt(28)) + 7];
  t.equal(read(`${hash.slice(0, 28)}${last}${hash.slice(29)}`).stored, hash);
  t.end();
});

test('what costs too much, or cannot be checked, is refused with the reason', (t) => {
  const bcryptEnd = '.'.repeat(53);
  const cases: [text: string, reason: RegExp][] = [
    ...[`$2b$15$${bcryptEnd}`, `$2a$31$${bcryptEnd}`].map((text): [string, RegExp] => [
      text,
      /seconds for each/,
    ]),
    [`$2b$03$${bcryptEnd}`, /parameters with which it cannot be checked/],
    [`$2x$10$${bcryptEnd}`, /bug/],
    [`$2$10$${bcryptEnd}`, /no form that is known/],
    [`$2b$10$${bcryptEnd}.`, /no form that is known/],
    [`$scrypt$ln=19,r=8,p=1$${SALT}$${HASH}`, /513 MiB/],
    [`$scrypt$ln=18,r=8,p=1$${SALT}$${HASH}`, /257 MiB/],
    [`$scrypt$ln=18,r=2,p=1$${SALT}$${HASH}`, /2\^17 at most/],
    [`$fbscrypt$v=1,n=18,r=2,p=1,ss=Bw==,sk=${HASH}$${SALT}$${HASH}`, /2\^17 at most/],
    [`$argon2id$v=19$m=64,t=11,p=1$${SALT}$${HASH}`, /10 passes/],
    [`$scrypt$ln=17,r=8,p=8$${SALT}$${HASH}`, /3\.0 seconds/],
    [`$scrypt$ln=0,r=8,p=1$${SALT}$${HASH}`, /cannot be checked/],
    [`$scrypt$ln=16,r=1,p=1$${SALT}$${HASH}`, /cannot be checked/],
    [`$scrypt$ln=14,r=0,p=1$${SALT}$${HASH}`, /cannot be checked/],
    [`$scrypt$ln=14,r=8,p=0$${SALT}$${HASH}`, /cannot be checked/],
    [`$scrypt$ln=16385,r=8,p=1$${SALT}$${HASH}`, /not known here/],
    [`$fbscrypt$v=1,n=20,r=8,p=1,ss=Bw==,sk=${HASH}$${SALT}$${HASH}`, /1025 MiB/],
    [`$fbscrypt$v=1,n=0,r=8,p=1,ss=Bw==,sk=${HASH}$${SALT}$${HASH}`, /cannot be checked/],
    [`pbkdf2_sha256$10000000$salt$${HASH}`, /4\.0 seconds/],
    [`$pbkdf2-sha512$i=0$${SALT}$${HASH}`, /cannot be checked/],
    [`$pbkdf2-md5$i=10$${SALT}$${HASH}`, /no form/],
    [`$argon2id$v=19$m=1048576,t=1,p=1$${SALT}$${HASH}`, /1024 MiB/],
    [`$argon2id$v=19$m=65536,t=100,p=1$${SALT}$${HASH}`, /seconds/],
    [`$argon2id$v=19$m=7,t=1,p=1$${SALT}$${HASH}`, /cannot be checked/],
    [`$argon2id$v=19$m=64,t=0,p=1$${SALT}$${HASH}`, /cannot be checked/],
    [`$argon2id$v=19$m=64,t=1,p=0$${SALT}$${HASH}`, /cannot be checked/],
    [`$argon2id$v=19$m=65536,t=1,p=256$${SALT}$${HASH}`, /cannot be checked/],
    [`$argon2id$v=19$m=64,t=1,p=1$YWJj$${HASH}`, /salt that is too short/],
    [`$P$z${'.'.repeat(30)}`, /seconds/],
    [`$sha512$s=prefix$${SALT}$${HASH}`, /not as long as one of sha512/],
    [`$sha256$s=prefix$-$${HASH}`, /no salt/],
    [`$scrypt$ln=14,r=8,p=1$${'A'.repeat(172)}$${HASH}`, /salt that is too long/],
    [`$scrypt$ln=14,r=8,p=1$${SALT}$${SALT.slice(0, 12)}`, /too short/],
    [`$scrypt$ln=14,r=8,p=1$${SALT}$${'A'.repeat(200)}`, /too long/],
    ['x'.repeat(1_001), /too long/],
    ['', /no form/],
  ];
  for (const [text, reason] of cases) {
    t.match(problemOf(text), reason, text);
    t.notMatch(problemOf(text), HASH, 'the reason quotes no hash');
  }
  t.end();
});

test('a cost with leading zeros is the same strength, in a form that can be checked', (t) => {
  const end = `$${SALT}$${HASH}`;
  const { stored, strength } = read(`$argon2id$v=19$m=0064,t=01,p=01${end}`);
  t.equal(strength, '$argon2id$v=19$m=64,t=1,p=1');
  t.equal(verifyStoredHash(stored, 'x', {}), false);
  t.equal(read(`$scrypt$ln=04,r=08,p=01${end}`).strength, '$scrypt$ln=4,r=8,p=1');
  t.equal(
    readStrength('$argon2id$v=19$m=0064,t=1,p=1'),
    null,
    'nor is one that was stored before a strength',
  );
  t.end();
});

test('what is taken is within what scrypt may have of memory, with its blocks beside the N', (t) => {
  const end = `$${SALT}$${HASH}`;
  for (const cost of ['ln=3,r=231000,p=1', 'ln=4,r=130000,p=1'])
    t.match(problemOf(`$scrypt$${cost}${end}`), /MiB of memory/, cost);
  t.equal(verifyStoredHash(read(`$scrypt$ln=1,r=60000,p=1${end}`).stored, 'x', {}), false);
  t.equal(readStrength(read(`$scrypt$ln=17,r=8,p=1${end}`).strength)?.scheme, 'scrypt');
  t.end();
});

test('work that is not in the memory counts: lanes that wait for one another, and the PBKDF2 in scrypt', (t) => {
  for (const cost of ['$argon2id$v=19$m=64,t=30000,p=8', '$scrypt$ln=1,r=8,p=100000'])
    t.match(problemOf(`${cost}$${SALT}$${HASH}`), /seconds for each sign-in/, cost);
  t.end();
});

test('the costliest that is taken of each kind is within the bounds', (t) => {
  for (const text of [
    `$2b$14$${'.'.repeat(53)}`,
    `$scrypt$ln=17,r=8,p=2$${SALT}$${HASH}`,
    `$pbkdf2-sha512$i=1900000$${SALT}$${HASH}`,
    `$argon2id$v=19$m=262144,t=7,p=1$${SALT}$${HASH}`,
  ])
    t.ok(costMsOf(readStrength(read(text).strength) as never) <= 1_000, text);
  t.end();
});

test('never throws, and what it takes is bounded and reads as itself', (t) => {
  const pieces = [
    '$',
    '2b',
    'argon2id',
    'scrypt',
    'pbkdf2-sha256',
    'fbscrypt',
    'P',
    'v=1,',
    'ln=',
    'r=8,p=1',
    'i=',
    ',',
    ':',
    '=',
    '9',
    '14',
    SALT,
    HASH,
  ];
  const mixed = fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((parts) => parts.join(''));
  const changed = fc
    .tuple(fc.constantFrom(...Object.values(KNOWN)), fc.nat(), fc.string({ maxLength: 3 }))
    .map(
      ([text, at, put]) => `${text.slice(0, at % text.length)}${put}${text.slice((at % text.length) + 1)}`,
    );
  fc.assert(
    fc.property(fc.oneof(fc.string(), mixed, changed), (text) => {
      const hash = readForeignHash(text);
      if ('problem' in hash) return /^The password hash .+\.$/s.test(hash.problem);
      const again = read(hash.stored);
      return again.stored === hash.stored && costMsOf(readStrength(hash.strength) as never) <= 1_000;
    }),
    { numRuns: 2_000 },
  );
  t.end();
});

test('a decoy is a hash of its strength', (t) => {
  for (const [name, text] of Object.entries(KNOWN)) {
    const strength = readStrength(read(text).strength);
    if (strength === null) throw new Error(name);
    const decoy = makeDecoy(strength, randomBytes);
    t.equal(readStoredHash(decoy)?.text, strength.text, name);
    t.not(makeDecoy(strength, randomBytes), decoy, name);
  }
  t.equal(readStrength('$2b$10$'), null);
  t.end();
});
