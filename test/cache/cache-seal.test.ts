import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import { createCacheSeal, createPseudonyms } from '../../src/cache/cache-seal.ts';

const DAY_MS = 86_400_000;
const START_MS = 20_000 * DAY_MS;
const issuer = 'https://auth.example.com';
const keyEncryptionKey = randomBytes(32);
const binding = { kind: 'session', id: 'a' };

const sealAt = (nowMs: number, changes: Partial<Parameters<typeof createCacheSeal>[0]> = {}) =>
  createCacheSeal({ issuer, keyEncryptionKey, now: () => nowMs, ...changes });

test('opens what was sealed for the same kind and id, and for no other', (t) => {
  const word = fc.stringMatching(/^[a-z0-9:]{1,12}$/);
  const seal = sealAt(START_MS);
  const opens = (text: string, kind: string, id: string, otherKind: string, otherId: string) => {
    const sealed = seal.seal({ kind, id }, text);
    t.equal(seal.open({ kind, id }, sealed), text);
    const isSame = kind === otherKind && id === otherId;
    t.equal(seal.open({ kind: otherKind, id: otherId }, sealed), isSame ? text : null);
  };
  fc.assert(fc.property(fc.string({ unit: 'binary' }), word, word, word, word, opens));
  t.end();
});

test('opens nothing in which one character was changed, cut off or added', (t) => {
  const seal = sealAt(START_MS);
  const sealed = seal.seal(binding, 'an entry');
  for (let at = 0; at < sealed.length; at += 1) {
    const other = sealed[at] === 'A' ? 'B' : 'A';
    t.equal(seal.open(binding, sealed.slice(0, at) + other + sealed.slice(at + 1)), null, `${at}`);
    t.equal(seal.open(binding, sealed.slice(0, at)), null);
  }
  t.equal(seal.open(binding, `${sealed}AAAA`), null);
  t.end();
});

test('opens nothing that is no sealed entry at all', (t) => {
  const seal = sealAt(START_MS);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer(), (text, day) => {
      t.equal(seal.open(binding, text), null);
      t.equal(seal.open(binding, `${day}.${text}`), null);
      t.equal(seal.open(binding, `20000.${text}`), null);
    }),
  );
  t.end();
});

test('another issuer or key-encryption key opens nothing', (t) => {
  const sealed = sealAt(START_MS).seal(binding, 'an entry');
  t.equal(sealAt(START_MS, { issuer: 'https://staging.example.com' }).open(binding, sealed), null);
  t.equal(sealAt(START_MS, { keyEncryptionKey: randomBytes(32) }).open(binding, sealed), null);
  t.end();
});

test('opens what was sealed under the previous key-encryption key, and seals under the current one', (t) => {
  const old = sealAt(START_MS);
  const next = sealAt(START_MS, {
    keyEncryptionKey: randomBytes(32),
    previousKeyEncryptionKey: keyEncryptionKey,
  });
  t.equal(next.open(binding, old.seal(binding, 'an entry')), 'an entry');
  t.equal(old.open(binding, next.seal(binding, 'an entry')), null);
  t.end();
});

test('opens an entry of yesterday, today or, by a clock ahead, tomorrow, and no older one', (t) => {
  const sealed = sealAt(START_MS).seal(binding, 'an entry');
  for (const days of [-1, 0, 1]) t.equal(sealAt(START_MS + days * DAY_MS).open(binding, sealed), 'an entry');
  for (const days of [-2, 2]) t.equal(sealAt(START_MS + days * DAY_MS).open(binding, sealed), null);
  t.end();
});

test('the same text is never sealed to the same bytes', (t) => {
  const seal = sealAt(START_MS);
  t.equal(new Set(Array.from({ length: 1_000 }, () => seal.seal(binding, 'an entry'))).size, 1_000);
  t.end();
});

test('a pseudonym is stable, hides the name, and differs between deployments', (t) => {
  const names = createPseudonyms(issuer, keyEncryptionKey);
  t.equal(names('192.0.2.1'), createPseudonyms(issuer, keyEncryptionKey)('192.0.2.1'));
  t.match(names('192.0.2.1'), /^[\w-]{43}$/);
  const others = [
    names('192.0.2.2'),
    createPseudonyms('https://staging.example.com', keyEncryptionKey)('192.0.2.1'),
    createPseudonyms(issuer, randomBytes(32))('192.0.2.1'),
  ];
  t.notOk(others.includes(names('192.0.2.1')));
  t.end();
});
