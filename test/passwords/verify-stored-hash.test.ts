import { randomBytes } from 'node:crypto';
import { hashSync as bcrypt } from '@node-rs/bcrypt';
import { test } from 'tap';
import { readForeignHash } from '../../src/passwords/foreign-hash.ts';
import { createPasswordHasher, type KnownStrength } from '../../src/passwords/password-hash.ts';
import { type SignerKeys, verifyStoredHash } from '../../src/passwords/verify-stored-hash.ts';
import { firebaseHash, foreignHashesOf } from '../support/foreign-hashes.ts';

function read(text: string) {
  const hash = readForeignHash(text);
  if ('problem' in hash) throw new Error(hash.problem);
  return hash;
}

function keysOf(text: string): SignerKeys {
  const { strength, key } = read(text);
  if (key === undefined) return {};
  const { signerKey, saltSeparator } = key;
  return {
    [strength]: { signerKey: signerKey.toString('base64'), saltSeparator: saltSeparator.toString('base64') },
  };
}

const fits = (text: string, password: string) => verifyStoredHash(read(text).stored, password, keysOf(text));

test('a hash of each form fits its password, and no other', (t) => {
  const password = `${randomBytes(9).toString('base64')} é ²`;
  for (const [name, text] of Object.entries(foreignHashesOf(password))) {
    t.equal(fits(text, password), true, name);
    t.equal(fits(text, `${password}x`), false, name);
  }
  t.end();
});

test('known vectors of others fit', (t) => {
  const vectors: [text: string, password: string][] = [
    // OpenBSD's bcrypt, of the tests of jBCrypt.
    ['$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i', 'abc'],
    // RFC 7914 §12.
    [
      '$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA',
      'password',
    ],
    // PHPass's own test.
    ['$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0', 'test12345'],
    // RFC 6070, 4096 rounds.
    ['$pbkdf2-sha1$i=4096$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE', 'password'],
  ];
  for (const [text, password] of vectors) {
    t.equal(fits(text, password), true, text);
    t.equal(fits(text, 'another'), false, text);
  }
  t.end();
});

test('bcrypt cuts the password at 72 bytes, as where it was made', (t) => {
  const hash = bcrypt('a'.repeat(80), 4);
  t.equal(fits(hash, 'a'.repeat(72)), true);
  t.equal(fits(hash, 'a'.repeat(71)), false);
  t.end();
});

test('the password is tried as it was typed, and in the form of the origin', (t) => {
  const decomposed = 'cafe\u0301 x²'.repeat(2);
  const hashes = foreignHashesOf(decomposed);
  for (const [name, text] of Object.entries(hashes)) {
    t.equal(fits(text, decomposed), true, name);
    t.equal(fits(text, decomposed.normalize('NFKC')), name === 'better-auth', name);
  }
  const composed = foreignHashesOf(decomposed.normalize('NFKC'));
  t.equal(fits(String(composed['better-auth']), decomposed), true);
  t.equal(fits(String(composed['scrypt in PHC form']), decomposed), false);
  t.end();
});

test("without Firebase's key, or with another one, nothing fits", (t) => {
  const text = firebaseHash('a password');
  t.equal(verifyStoredHash(read(text).stored, 'a password', {}), false);
  const { strength } = read(text);
  const other = { [strength]: { signerKey: randomBytes(64).toString('base64'), saltSeparator: 'Bw==' } };
  t.equal(verifyStoredHash(read(text).stored, 'a password', other), false);
  t.end();
});

test('the hasher checks what was imported, beside decoys of every strength that it has learned', async (t) => {
  const hasher = createPasswordHasher({ memoryKib: 64, iterations: 1, threads: 1 });
  t.teardown(hasher.close);
  const password = `${randomBytes(9).toString('base64')} x²`;
  // Without the one whose cost is fixed, and high.
  const { 'better-auth': _, ...cheap } = foreignHashesOf(password);
  const hashes = Object.values(cheap).map(read);
  const [firebase] = hashes.filter(({ key }) => key !== undefined);
  await t.rejects(hasher.verify(String(firebase?.stored), password), { code: 'unavailable' });
  hasher.learn([
    ...hashes.map(({ strength, key = null }): KnownStrength => ({ strength, key })),
    { strength: 'of a later release', key: null },
    { strength: '$argon2id$v=19$m=0,t=0,p=0', key: null },
  ]);
  for (const { stored } of hashes) {
    t.equal(await hasher.verify(stored, password), true, stored);
    t.equal(await hasher.verify(stored, 'another'), false, stored);
  }
  t.equal(await hasher.verify(null, password), false);
});

test('whatever came from elsewhere is hashed anew, but argon2id that is no weaker than ours', async (t) => {
  const hasher = createPasswordHasher({ memoryKib: 64, iterations: 1, threads: 1 });
  t.teardown(hasher.close);
  for (const [name, text] of Object.entries(foreignHashesOf('a password')))
    t.equal(hasher.needsRehash(read(text).stored), name !== 'argon2id', name);
});
