import { test } from 'tap';
import type { Transaction } from '../../src/db/database.ts';
import { asc, sql } from '../../src/db/drizzle.ts';
import { tryLock } from '../../src/db/locks.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { revocations } from '../../src/db/schema.ts';
import { createRevocationStore, type RevocationStore } from '../../src/revocations/revocation-store.ts';
import { databases, openPostgres } from '../support/adapters.ts';
import { hashesIn, partsAfter, revocationsOn, WINDOW_MS } from '../support/revocations.ts';

for (const { name, open } of databases) {
  test(`${name}: tells each kind of revocation, and what came after a cursor`, async (t) => {
    const world = await open(t);
    const { log, end, openFeed } = revocationsOn(t, world);
    const feed = openFeed();
    t.equal(feed.state(), null, 'nothing was read yet');
    const empty = await feed.answer(null);
    t.match(empty, { from: null, more: false, overflow: false, users: [], clients: [], keys: [] });
    t.strictSame([empty.sessions.length, empty.tokens.length], [0, 0]);
    t.match(empty.cursor, /^[0-9a-f]{16}\.0$/);

    const before = Math.floor(Date.now() / 1000);
    await world.transact(async (transaction) => {
      await log.sessionsEnded(transaction, ['s1', 's2']);
      await log.tokenRevoked(transaction, 'j1');
      await log.claimsChanged(transaction, 'u1', 7);
      await log.clientChanged(transaction, 'c1');
      await log.keyRevoked(transaction, 'kid-1');
    });
    await feed.start();
    const part = await feed.answer(empty.cursor);
    t.equal(part.from, empty.cursor, 'it continues what was told');
    t.strictSame(hashesIn(part.sessions), [hex('s1'), hex('s2')]);
    t.strictSame(hashesIn(part.tokens), [hex('j1')]);
    t.strictSame(part.users, [[hashOfId('u1'), 7]]);
    const [[client, second]] = part.clients as [[Buffer, number]];
    t.strictSame(client, hashOfId('c1'));
    t.ok(second >= before && second <= before + 60);
    t.strictSame(part.keys, ['kid-1']);
    t.equal(part.windowSeconds, WINDOW_MS / 1000);
    t.match(feed.state(), { cursor: part.cursor });

    await end('s3');
    await feed.start();
    const more = await feed.answer(part.cursor);
    t.strictSame(hashesIn(more.sessions), [hex('s3')]);
    t.match(await feed.answer(more.cursor), { from: more.cursor, cursor: more.cursor, users: [], keys: [] });
  });

  test(`${name}: a large window is told in parts, and a replica that starts later tells the same`, async (t) => {
    const world = await open(t);
    const { fill, end, openFeed } = revocationsOn(t, world);
    await fill(70_001);
    await end('last');
    const first = openFeed();
    await first.start();
    const parts = await partsAfter(first, null);
    t.strictSame(
      parts.map(({ from, more, sessions }) => [from === null, more, sessions.length / 8]),
      [
        [true, true, 50_000],
        [false, false, 20_002],
      ],
    );
    const told = parts.flatMap(({ sessions }) => hashesIn(sessions));
    t.equal(new Set(told).size, 70_002, 'each of them once');
    t.equal(told.at(-1), hex('last'));
    const second = openFeed();
    await second.start();
    const rest = await second.answer(parts[0]?.cursor ?? '');
    t.ok(parts[1]?.sessions.equals(rest.sessions), 'it goes on where another replica stopped');
  });

  test(`${name}: the sweeper keeps what is in the window, what has no place, and the last place`, async (t) => {
    const world = await open(t);
    const { store, end, openFeed } = revocationsOn(t, world);
    const sweep = (limit: number) => world.transact((tx) => store.sweep(tx, WINDOW_MS, limit));
    await end('a', 'b', 'c', 'd');
    const feed = openFeed();
    await feed.start();
    t.equal(await sweep(10), 0);
    // Its next look would give a place to the one that is to have none.
    await feed.close();
    await world.moveTime(WINDOW_MS + 60_000);
    await end('e');
    await world.database.execute(sql`update revocations set revoked_at = '2020-01-01' where seq is null`);
    t.equal(await sweep(2), 2, 'as many as are asked for');
    t.equal(await sweep(2), 1, 'all but the last place and the one without a place');
    const left = await world.database.select().from(revocations).orderBy(asc(revocations.id));
    t.strictSame(
      left.map(({ seq }) => seq),
      [4, null],
    );
  });
}

test('one replica at a time sweeps', async (t) => {
  const world = await openPostgres();
  const { store, end, openFeed } = revocationsOn(t, world);
  await end('a', 'b');
  await openFeed().start();
  await world.moveTime(WINDOW_MS + 60_000);
  await world.transact(async (other) => {
    await tryLock(other, 'sweepRevocations');
    t.equal(await world.transact((tx) => store.sweep(tx, WINDOW_MS, 10)), 0);
  });
  t.equal(await world.transact((tx) => store.sweep(tx, WINDOW_MS, 10)), 1);
});

test('a row whose commit took long stays for the whole window after it got its place', async (t) => {
  const world = await openPostgres();
  const { store, end } = revocationsOn(t, world);
  await end('late', 'last');
  await world.database.execute(sql`update revocations set revoked_at = now() - interval '1 day'`);
  await store.number(10);
  t.equal(await world.transact((tx) => store.sweep(tx, WINDOW_MS, 10)), 0);
  const [late] = await store.list(0, 10);
  t.ok(Number(late?.revokedAt) > Date.now() - 60_000);
});

test('with half a million rows nothing reads the whole table', async (t) => {
  const { database, transact } = await openPostgres();
  const { end, fill } = revocationsOn(t, { database, transact, moveTime: async () => {} });
  await fill(500_000);
  const scansIn = (work: (store: RevocationStore, transaction: Transaction) => Promise<unknown>) =>
    transact(async (transaction) => {
      await work(createRevocationStore(transaction.database), transaction);
      const rows: unknown = await transaction.database.execute(
        sql`select seq_scan::integer as scans from pg_stat_xact_user_tables where relname = 'revocations'`,
      );
      return (rows as { scans: number }[])[0]?.scans;
    });
  const works: Parameters<typeof scansIn>[0][] = [
    (store) => store.look(),
    (store) => store.list(499_000, 5_000),
    (store) => store.list(0, 5_000),
    (store) => store.number(10_000),
    (store, transaction) => store.sweep(transaction, WINDOW_MS, 1_000),
    (store, transaction) => store.sweep(transaction, -60_000, 1_000),
  ];
  for (const step of ['without statistics', 'with statistics']) {
    if (step === 'with statistics') await database.execute(sql`analyze revocations`);
    // Many times: PostgreSQL plans the statements of a function anew only at first.
    for (let time = 0; time < 8; time += 1) {
      await end('a', 'b');
      for (const [at, work] of works.entries()) t.equal(await scansIn(work), 0, `${step}: ${at}`);
    }
  }
  t.equal(
    await scansIn((_store, { database }) => database.execute(sql`select count(value) from revocations`)),
    1,
    'such a scan would be seen',
  );
});

function hex(id: string): string {
  return hashOfId(id).toString('hex');
}
