import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import { clientSecrets } from '../../src/db/schema.ts';
import {
  type ClientChanges,
  createClientStore,
  type NewClient,
  type StoredCredentials,
} from '../../src/oauth/client-store.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const HOUR_MS = 3_600_000;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

const publicKeys = [{ kty: 'OKP', crv: 'Ed25519', x: 'x', use: 'sig', alg: 'EdDSA', kid: 'one' }];

const makeSecret = () => ({ secretHash: randomBytes(32), publicKeys: null });

function makeClient(changes: { id?: string; name?: string } = {}) {
  return {
    id: 'payments',
    name: 'Payments',
    scopes: ['orders:read', 'a"b,{c}'],
    audiences: ['payments', 'https://shop.example.com/ä'],
    ...makeSecret(),
    ...changes,
  };
}

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const store = createClientStore(database);
    const get = async (id = 'payments') => {
      const client = await store.find(id);
      if (client === null) throw new Error(`there is no ${id}`);
      return client;
    };
    const insert = (client: NewClient) => transact((transaction) => store.insert(transaction, client));
    const replace = (credentials: StoredCredentials, overlapMs: number, id = 'payments') =>
      transact((transaction) => store.replaceCredentials(transaction, id, credentials, overlapMs));
    const hashesOf = async () => (await get()).secretHashes.map((hash) => hash.toString('hex')).sort();
    const update = (id: string, changes: ClientChanges) =>
      transact((transaction) => store.update(transaction, id, changes));
    const disable = (id: string) => transact((transaction) => store.disable(transaction, id));
    const enable = (id: string) => transact((transaction) => store.enable(transaction, id));
    return { ...opened, store, get, insert, replace, update, disable, enable, hashesOf };
  }

  const hex = (...secrets: { secretHash: Buffer }[]) =>
    secrets.map(({ secretHash }) => secretHash.toString('hex')).sort();

  t.test('a client is found as it was written', async (t) => {
    const { store, get, insert } = await setUp(t);
    const { secretHash, ...client } = makeClient();
    t.equal(await insert({ ...client, secretHash }), true);
    const { createdAt, ...found } = await get();
    t.strictSame(found, { ...client, secretHashes: [secretHash], disabledAt: null });
    t.type(createdAt, Date);
    t.equal(await store.find('Payments'), null);
  });

  t.test('an id is given once, and the first client keeps it', async (t) => {
    const { get, insert, hashesOf } = await setUp(t);
    const first = makeClient();
    await insert(first);
    t.equal(await insert(makeClient({ name: 'Another' })), false);
    t.match(await get(), { name: 'Payments' });
    t.same(await hashesOf(), hex(first));
  });

  t.test('clients are listed by id', async (t) => {
    const { store, insert } = await setUp(t);
    for (const id of ['shop', 'gateway', 'payments']) await insert(makeClient({ id }));
    t.same(
      (await store.list()).map(({ id }) => id),
      ['gateway', 'payments', 'shop'],
    );
  });

  t.test('a new secret leaves those before in force until the overlap is over', async (t) => {
    const { insert, replace, hashesOf, moveTime } = await setUp(t);
    const [first, second, third] = [makeClient(), makeSecret(), makeSecret()];
    await insert(first);
    t.equal(await replace(second, 2 * HOUR_MS), true);
    await moveTime(HOUR_MS);
    await replace(third, 5 * HOUR_MS);
    t.same(await hashesOf(), hex(first, second, third), 'the first one too, for as long as was said then');
    await moveTime(HOUR_MS);
    t.same(await hashesOf(), hex(second, third));
    await moveTime(4 * HOUR_MS);
    t.same(await hashesOf(), hex(third));
  });

  t.test('without an overlap every secret before is over at once', async (t) => {
    const { database, insert, replace, hashesOf } = await setUp(t);
    await insert(makeClient());
    await replace(makeSecret(), HOUR_MS);
    const last = makeSecret();
    await replace(last, 0);
    t.same(await hashesOf(), hex(last));
    await replace(makeSecret(), 0);
    t.equal(await database.$count(clientSecrets), 2, 'and what is over is deleted at the next change');
  });

  t.test('public keys let secrets overlap too, and a secret takes the place of the keys', async (t) => {
    const { get, insert, replace, hashesOf, moveTime } = await setUp(t);
    const [first, second] = [makeClient(), makeSecret()];
    await insert(first);
    t.equal(await replace({ secretHash: null, publicKeys }, HOUR_MS), true);
    t.match(await get(), { publicKeys });
    t.same(await hashesOf(), hex(first));
    await moveTime(HOUR_MS);
    t.same(await hashesOf(), []);
    await replace(second, HOUR_MS);
    t.match(await get(), { publicKeys: null });
    t.same(await hashesOf(), hex(second));
  });

  t.test('a client may have had public keys from the start', async (t) => {
    const { get, insert } = await setUp(t);
    await insert({ ...makeClient(), secretHash: null, publicKeys });
    t.match(await get(), { publicKeys, secretHashes: [] });
  });

  t.test('a client is disabled once, at the time of the database', async (t) => {
    const { get, insert, disable, moveTime } = await setUp(t);
    await insert(makeClient());
    t.equal(await disable('payments'), true);
    const { disabledAt } = await get();
    t.type(disabledAt, Date);
    await moveTime(HOUR_MS);
    t.equal(await disable('payments'), false);
    t.same((await get()).disabledAt, disabledAt);
  });

  t.test('a client that is enabled again is as it was', async (t) => {
    const { get, insert, disable, enable } = await setUp(t);
    await insert(makeClient());
    const before = await get();
    t.equal(await enable('payments'), false);
    t.strictSame(await get(), before, 'one that was not disabled stays enabled');
    await disable('payments');
    t.equal(await enable('payments'), true);
    t.strictSame(await get(), before);
    t.equal(await disable('payments'), true, 'and can be disabled again');
  });

  t.test('an update replaces what is given, of this client alone', async (t) => {
    const { get, insert, update } = await setUp(t);
    await insert(makeClient());
    await insert(makeClient({ id: 'shop' }));
    const [before, other] = [await get(), await get('shop')];
    await update('payments', { scopes: ['{"x"}', 'b'] });
    t.strictSame(await get(), { ...before, scopes: ['{"x"}', 'b'] });
    const changes = { name: 'Zahlungen', scopes: [], audiences: ['shop'] };
    await update('payments', changes);
    t.strictSame(await get(), { ...before, ...changes });
    t.strictSame(await get('shop'), other);
  });

  t.test('changes nobody where nobody has the id', async (t) => {
    const { database, store, replace, update, disable, enable } = await setUp(t);
    t.equal(await replace(makeSecret(), 0, 'nobody'), false);
    t.equal(await disable('nobody'), false);
    t.equal(await enable('nobody'), false);
    await update('nobody', { name: 'Nobody' });
    t.same(await store.list(), []);
    t.equal(await database.$count(clientSecrets), 0);
  });

  t.test('the database itself wants a whole hash, and no secret twice', async (t) => {
    const { insert } = await setUp(t);
    await t.rejects(insert({ ...makeClient(), secretHash: randomBytes(31) }));
    const client = makeClient();
    await insert(client);
    await t.rejects(insert({ ...client, id: 'shop' }));
  });
}
