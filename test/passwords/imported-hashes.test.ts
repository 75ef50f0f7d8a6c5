import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { importedHashes } from '../../src/db/schema.ts';
import { openImportedHashes } from '../../src/passwords/open-imported-hashes.ts';
import { databases } from '../support/adapters.ts';
import { createPlatform, keepErrors } from '../support/platform.ts';

const STRENGTH = '$fbscrypt$k=0123456789abcdef,ln=14,r=8';
const key = { signerKey: randomBytes(64), saltSeparator: Buffer.from('Bw==', 'base64') };

for (const kind of databases) {
  test(`${kind.name}: a signer key opens with the key-encryption key, or the one before, and is sealed anew`, async (t) => {
    const { database, transact } = await kind.open(t);
    const [former, current] = [randomBytes(32), randomBytes(32)];
    const errors: unknown[] = [];
    const openWith = (keyEncryptionKey: Buffer, previous?: Buffer) =>
      openImportedHashes(
        createPlatform(database, {
          ...{ keyEncryptionKey, log: keepErrors(errors) },
          config: previous === undefined ? {} : { KEY_ENCRYPTION_KEY_PREVIOUS: previous },
        }),
      );
    const before = openWith(former);
    const wanted = new Map([
      [STRENGTH, key],
      ['$2b$10', null],
    ]);
    t.same(await transact((transaction) => before.admit(transaction, wanted, false)), new Map());
    const all = [
      { strength: '$2b$10', key: null },
      { strength: STRENGTH, key },
    ];
    t.same(await before.list(), all);
    t.same(await before.rewrap(), [], 'it is the current one already');

    const after = openWith(current);
    t.same(await after.list(), all.slice(0, 1));
    t.match(errors, [{ message: /KEY_ENCRYPTION_KEY does not open the signer key/ }]);
    await t.rejects(after.rewrap(), { code: 'internal_error', detail: /KEY_ENCRYPTION_KEY_PREVIOUS/ });

    const both = openWith(current, former);
    t.same(await both.list(), all);
    t.same(await both.rewrap(), [STRENGTH]);
    t.same(await both.rewrap(), []);
    t.same(await after.list(), all, 'the former one is needed no more');
  });
}

test('a strength that a later release has written is passed on', async (t) => {
  const [kind] = databases;
  const opened = await kind?.open(t);
  if (opened === undefined) throw new Error('there is no database');
  const hashes = openImportedHashes(createPlatform(opened.database));
  await opened.database.insert(importedHashes).values({ strength: '$new$x=1' });
  const wanted = new Map([['$2b$14', null]]);
  t.same(await opened.transact((transaction) => hashes.admit(transaction, wanted, true)), new Map());
  t.same(await hashes.list(), [{ strength: '$new$x=1', key: null }]);
});
