import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import t, { type Test } from 'tap';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { createFollower, openReplica, openRevocationServer } from '../support/revocation-server.ts';

t.setTimeout(180_000);

const WRITERS = 50;
const ROUNDS = 10;

type Writers = ReturnType<typeof openReplica>;

/** One that follows the table while others write: `seen` are the hashes that it knows of. */
type Reader = { poll(): Promise<void>; seen: ReadonlySet<string> };

/** Transactions that begin in one order and are committed in another, some of them never. @returns what was committed */
async function writeAtOnce(writers: Writers): Promise<string[]> {
  const committed: string[] = [];
  const writeOne = async () => {
    const id = randomUUID();
    const undo = new Error('undo');
    const writing = writers.transact(async (transaction) => {
      await writers.log.sessionsEnded(transaction, [id]);
      await delay(randomInt(30));
      if (randomInt(5) === 0) throw undo;
    });
    await writing.then(
      () => committed.push(hex(id)),
      (error) => {
        if (error !== undo) throw error;
      },
    );
  };
  const writer = async () => {
    for (let round = 0; round < ROUNDS; round += 1) await writeOne();
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  return committed;
}

/** The one whose row is first is committed last, and the readers look in between. @returns what was committed */
async function commitOutOfOrder({ transact, log, end }: Writers, readers: Reader[]): Promise<string[]> {
  await transact(async (transaction) => {
    await log.sessionsEnded(transaction, ['first']);
    await end('second');
    for (const reader of readers) await reader.poll();
  });
  return [hex('first'), hex('second')];
}

/** Lets readers look all the while. @returns how many of the committed revocations each of them has missed */
async function race(writers: Writers, readers: Reader[]): Promise<number[]> {
  const forced = await commitOutOfOrder(writers, readers);
  let isOver = false;
  const read = async ({ poll }: Reader) => {
    while (!isOver) await poll();
    await poll();
  };
  const reading = Promise.all(readers.map(read));
  const committed = [...forced, ...(await writeAtOnce(writers))];
  isOver = true;
  await reading;
  return readers.map(({ seen }) => committed.filter((hash) => !seen.has(hash)).length);
}

function openNaiveReader(t: Test, url: string): Reader {
  const client = postgres(url, { max: 1 });
  t.teardown(() => client.end());
  const seen = new Set<string>();
  let last = 0;
  return {
    seen,
    async poll() {
      const rows = await client`
        select id, encode(subject, 'hex') as hash from revocations where id > ${last} order by id`;
      for (const { id, hash } of rows) {
        seen.add(hash);
        last = Number(id);
      }
    },
  };
}

t.test('whatever the order of commits, no replica misses one, and none is told twice', async (t) => {
  const { url } = await openRevocationServer(t);
  const writers = openReplica(t, url, { most: WRITERS });
  const followers = Array.from({ length: 3 }, () => {
    const { feed } = openReplica(t, url);
    return { feed, follower: createFollower(feed) };
  });
  const readers = followers.map(({ feed, follower }) => ({
    seen: follower.sessions,
    poll: async () => {
      await feed.start();
      await follower.poll();
    },
  }));
  t.strictSame(await race(writers, readers), [0, 0, 0]);
  for (const { follower } of followers) t.strictSame([follower.resets, follower.repeated], [1, 0]);
});

t.test('the same race, with a cursor on the identity, loses some: it shows what it is for', async (t) => {
  const { url } = await openRevocationServer(t);
  const [missed] = await race(openReplica(t, url, { most: WRITERS }), [openNaiveReader(t, url)]);
  t.ok(Number(missed) > 0, `${missed} were missed`);
});

t.test('what was acknowledged before as_of is in what was told', async (t) => {
  const { url } = await openRevocationServer(t);
  const writers = openReplica(t, url, { most: WRITERS });
  const { feed } = openReplica(t, url);
  const follower = createFollower(feed);
  const acknowledged: { hash: string; at: number }[] = [];
  let isOver = false;
  const write = async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = randomUUID();
      await writers.end(id);
      acknowledged.push({ hash: hex(id), at: Date.now() });
    }
  };
  let checks = 0;
  const check = async () => {
    await feed.start();
    const { asOf } = await follower.poll();
    // The server is on this machine: one clock.
    for (const { hash, at } of acknowledged.filter(({ at }) => at < asOf)) {
      checks += 1;
      if (!follower.sessions.has(hash)) throw new Error(`not told ${asOf - at} ms after it was acknowledged`);
    }
  };
  const read = async () => {
    while (!isOver) await check();
    await check();
  };
  const reading = read();
  await Promise.all(Array.from({ length: 10 }, write));
  isOver = true;
  await reading;
  t.ok(checks > 0, `${checks} checks`);
});

function hex(id: string): string {
  return hashOfId(id).toString('hex');
}
