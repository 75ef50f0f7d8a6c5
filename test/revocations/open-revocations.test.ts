import { test } from 'tap';
import type { Hints } from '../../src/cache/redis-hints.ts';
import { sql } from '../../src/db/drizzle.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { openRevocations } from '../../src/revocations/open-revocations.ts';
import { databases, eventually, openPostgres } from '../support/adapters.ts';
import { createPlatform, keepErrors } from '../support/platform.ts';
import { hashesIn } from '../support/revocations.ts';

/** What Redis does for replicas, without losing anything. */
function createHints() {
  const listeners = new Set<(head: string) => void>();
  const heads: string[] = [];
  const hints: Hints = {
    announce(head) {
      heads.push(head);
      for (const listener of listeners) listener(head);
    },
    listen: (listener) => void listeners.add(listener),
  };
  return { hints, heads };
}

for (const { name, open } of databases) {
  test(`${name}: a replica follows its own commits, and tells the others`, async (t) => {
    const { database } = await open(t);
    const { hints, heads } = createHints();
    const openReplica = () => {
      const platform = createPlatform(database, { config: { EMBEDDED: false } });
      const opened = openRevocations(platform, hints);
      t.teardown(opened.close);
      return { platform, ...opened };
    };
    const [first, second] = [openReplica(), openReplica()];
    await Promise.all([first.feed.start(), second.feed.start()]);
    t.equal(first.feed.state()?.cursor, second.feed.state()?.cursor, 'they have the same epoch');
    await first.platform.transact((tx) => first.platform.revocations.sessionsEnded(tx, ['s']));
    const token = { sub: 'u', client_id: 'c', iat: 0, jti: 'j', sid: 's' };
    await eventually(() => {
      if (!first.feed.isRevoked(token, 'kid')) throw new Error('not read yet');
      if (!second.feed.isRevoked(token, 'kid')) throw new Error('the other one has not read it yet');
      if (heads.length === 0) throw new Error('not announced yet');
    });
    t.equal(heads.length, 1, 'by the one that has numbered it');
    t.strictSame(hashesIn((await first.feed.answer(null)).sessions), [hashOfId('s').toString('hex')]);
    t.equal((await first.feed.answer(null)).windowSeconds, 1_920, 'the life of a token and two minutes');
  });

  test(`${name}: rows leave after the window`, async (t) => {
    const { database, moveTime } = await open(t);
    const platform = createPlatform(database, { config: { EMBEDDED: false } });
    const { feed, sweeps, close } = openRevocations(platform, createHints().hints);
    t.teardown(close);
    const sweep = async () => {
      const swept = sweeps.map((sweep) => platform.transact((tx) => sweep(tx, 10)));
      return (await Promise.all(swept))[0];
    };
    await platform.transact((tx) => platform.revocations.sessionsEnded(tx, ['a', 'b']));
    await feed.start();
    t.equal(await sweep(), 0);
    await moveTime(1_920_000 + 60_000);
    t.equal(await sweep(), 1);
  });
}

test('an embedded database that is opened again has another epoch: it may have been restored', async (t) => {
  const { database } = await openPostgres();
  const openOne = async () => {
    const { feed, close } = openRevocations(
      createPlatform(database, { config: { EMBEDDED: true } }),
      createHints().hints,
    );
    t.teardown(close);
    await feed.start();
    return feed.state()?.cursor ?? '';
  };
  const [first, second] = [await openOne(), await openOne()];
  t.match(first, /^[A-Za-z0-9_-]{1,40}\.\d{1,16}$/);
  t.not(first, second);
});

test('a table that cannot be read is told once in the log', async (t) => {
  const { database } = await openPostgres();
  const errors: unknown[] = [];
  await database.execute(sql`alter table revocations rename to revocations_gone`);
  t.teardown(() => database.execute(sql`alter table revocations_gone rename to revocations`));
  const platform = createPlatform(database, { log: keepErrors(errors) });
  const { feed, close } = openRevocations(platform, createHints().hints);
  t.teardown(close);
  await feed.start();
  await feed.start();
  t.match(errors, [{ name: 'DatabaseError', sqlState: '42P01' }]);
  t.equal(errors.length, 1);
});
