import type postgres from 'postgres';
import t from 'tap';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { eventually } from '../support/adapters.ts';
import { createFollower, openReplica, openRevocationServer } from '../support/revocation-server.ts';

t.setTimeout(180_000);

const hex = (...ids: string[]) => ids.map((id) => hashOfId(id).toString('hex'));

t.test('a verifier that changes between replicas never has to forget what it was told', async (t) => {
  const { url } = await openRevocationServer(t);
  const [first, second] = [openReplica(t, url), openReplica(t, url)];
  await Promise.all([first.feed.start(), second.feed.start()]);
  const follower = createFollower(first.feed);
  for (let count = 1; count <= 20; count += 1) {
    await first.end(String(count));
    await first.feed.start();
    await follower.poll(first.feed);
    t.equal(follower.sessions.size, count);
    await follower.poll(second.feed);
    t.equal(follower.sessions.size, count, 'the other replica is behind, and takes nothing back');
  }
  t.strictSame([follower.resets, follower.repeated], [1, 0]);
});

t.test('a cursor from after the backup that was restored gets the whole window', async (t) => {
  const { url, place } = await openRevocationServer(t);
  const before = openReplica(t, url);
  await before.end('a', 'b');
  await before.feed.start();
  const follower = createFollower(before.feed);
  const { cursor } = await follower.poll();
  await before.leave();
  const restored = openReplica(t, await place('restored', 'doorward'));
  await restored.end('c');
  await restored.feed.start();
  const part = await follower.poll(restored.feed);
  t.equal(part.from, null);
  t.strictSame([...follower.sessions], hex('a', 'b', 'c'));
  const [epoch] = part.cursor.split('.');
  t.notOk(cursor.startsWith(`${epoch}.`));
  t.equal(
    (await restored.feed.answer(`${epoch}.999`)).from,
    null,
    'nor is a place believed that nobody gave',
  );
});

t.test('after a restart of the database, which may be a failover, verifiers get all anew', async (t) => {
  const { server, url } = await openRevocationServer(t);
  const { feed, end } = openReplica(t, url);
  await end('a');
  await feed.start();
  const follower = createFollower(feed);
  const { cursor } = await follower.poll();
  server.signal('SIGKILL');
  await server.restart();
  await eventually(() => end('b'));
  await eventually(async () => {
    await feed.start();
    if (feed.state()?.cursor.split('.')[0] === cursor.split('.')[0]) throw new Error('not noticed yet');
  });
  t.equal((await follower.poll()).from, null);
  t.strictSame([...follower.sessions], hex('a', 'b'));
});

t.test('while the database hangs, the window is told on, and its age grows', async (t) => {
  const { server, url } = await openRevocationServer(t);
  const { feed, end } = openReplica(t, url, { deadlineMs: 500 });
  const late = openReplica(t, url, { deadlineMs: 500 });
  await end('a');
  await eventually(async () => {
    await feed.start();
    if (feed.state()?.cursor.endsWith('.1') !== true) throw new Error('not read yet');
  });
  const follower = createFollower(feed);
  await follower.poll();
  server.signal('SIGSTOP');
  t.teardown(() => server.signal('SIGCONT'));
  const { asOf } = await eventually(() => {
    const state = feed.state();
    if (state === null || state.ageMs < 1_000) throw new Error('not old yet');
    return state;
  });
  const part = await follower.poll();
  t.match(part, { from: part.cursor, asOf });
  t.ok(part.ageMs >= 1_000);
  t.ok(feed.isRevoked({ sub: 'u', client_id: 'c', iat: 0, jti: 'j', sid: 'a' }, 'kid'));
  await late.feed.start();
  await t.rejects(
    late.feed.answer(null),
    { code: 'unavailable' },
    'a replica that has read nothing cannot know',
  );
  server.signal('SIGCONT');
  await eventually(() => {
    if (Number(feed.state()?.asOf) <= asOf) throw new Error('not back yet');
  });
  t.ok(Number(feed.state()?.ageMs) < part.ageMs, 'and it recovers by itself');
});

/** The backends that number at this moment, and wait for a row. */
const NUMBERING = `select pid from pg_stat_activity
  where query like '%number_revocations%' and wait_event_type = 'Lock' and datname = 'doorward'`;

t.test('a process that dies while it numbers loses nothing, and leaves nobody waiting', async (t) => {
  const { admin, url } = await openRevocationServer(t);
  const { client, feed, end } = openReplica(t, url, { most: 4 });
  await end('a', 'b', 'c');
  await client.begin(async (other) => {
    await other`select from revocations where id = 3 for update`;
    const dying = client`select number_revocations(10)`.catch((error: postgres.PostgresError) => error.code);
    const pid = await eventually(async () => {
      const [backend] = await admin.unsafe<{ pid: number }[]>(NUMBERING);
      if (backend === undefined) throw new Error('it does not number yet');
      return backend.pid;
    });
    await admin`select pg_terminate_backend(${pid})`;
    t.match(await dying, /^(57P01|CONNECTION_CLOSED)$/);
  });
  await end('d');
  await feed.start();
  const follower = createFollower(feed);
  const { cursor } = await follower.poll();
  t.strictSame([...follower.sessions], hex('a', 'b', 'c', 'd'));
  t.ok(cursor.endsWith('.4'), 'its numbers are given again');
});

t.test('numbers that were rolled back are a gap that nobody waits for', async (t) => {
  const { url } = await openRevocationServer(t);
  const { client, feed, end } = openReplica(t, url);
  await end('a');
  const undone = client.begin(async (transaction) => {
    await transaction`select number_revocations(10)`;
    throw new Error('undo');
  });
  await t.rejects(undone, { message: 'undo' });
  await client`update revocations set seq = 7 where id = 1`;
  await end('b');
  await feed.start();
  const follower = createFollower(feed);
  t.match(await follower.poll(), { cursor: /\.8$/, more: false });
  t.strictSame([...follower.sessions], hex('a', 'b'));
});
