import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'tap';
import { createKeyLookup } from '../../src/keys/key-lookup.ts';
import type { KeyService } from '../../src/keys/key-service.ts';

/** A replica with some keys, and a count of its looks at the database. */
function setUp() {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const known = new Map<string, KeyObject>([['old', publicKey]]);
  let [now, looks] = [0, 0];
  const lookOnce = { run: async () => {} };
  const keys = { findPublicKey: (kid: string) => known.get(kid) ?? null } as unknown as KeyService;
  const look = async () => {
    looks += 1;
    await lookOnce.run();
  };
  const find = createKeyLookup(keys, look, () => now);
  const pass = (ms: number) => {
    now += ms;
  };
  return { find, known, publicKey, pass, looks: () => looks, lookOnce };
}

test('a known key costs no look', async (t) => {
  const { find, publicKey, looks } = setUp();
  t.equal(await find('old'), publicKey);
  t.equal(looks(), 0);
});

test('a key that another replica has just made is found by a look', async (t) => {
  const { find, known, publicKey, lookOnce } = setUp();
  lookOnce.run = async () => void known.set('new', publicKey);
  t.equal(await find('new'), publicKey);
});

test('any number of unknown kids cost one look a second', async (t) => {
  const { find, looks, pass } = setUp();
  for (let tries = 0; tries < 5; tries += 1) {
    t.same(await Promise.all(['a', 'b', 'c'].map(find)), [null, null, null]);
  }
  t.equal(looks(), 1);
  pass(999);
  await find('a');
  t.equal(looks(), 1);
  pass(1);
  await find('a');
  t.equal(looks(), 2);
});

test('those who ask while a look is under way wait for that one', async (t) => {
  const { find, looks, pass, lookOnce } = setUp();
  const { promise, resolve } = Promise.withResolvers<void>();
  lookOnce.run = () => promise;
  const asked = ['a', 'b'].map(find);
  pass(10_000);
  asked.push(find('c'));
  resolve();
  t.same(await Promise.all(asked), [null, null, null]);
  t.equal(looks(), 1);
  await find('d');
  t.equal(looks(), 1, 'the second counts from its end');
});

test('a look that fails is no "unknown", until one succeeds', async (t) => {
  const { find, lookOnce } = setUp();
  lookOnce.run = () => Promise.reject(new Error('away'));
  await t.rejects(find('a'), /away/);
  await t.rejects(find('b'), /away/);
  lookOnce.run = async () => {};
  t.equal(await find('a'), null);
});
