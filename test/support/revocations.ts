import type { Test } from 'tap';
import { sql } from '../../src/db/drizzle.ts';
import { createRevocationLog } from '../../src/db/revocation-log.ts';
import { createRevocationFeed, type FeedPart } from '../../src/revocations/revocation-feed.ts';
import { createRevocationStore } from '../../src/revocations/revocation-store.ts';
import type { TestDatabase } from './adapters.ts';

export const WINDOW_MS = 1_920_000;

type Replica = Partial<Parameters<typeof createRevocationFeed>[0]>;

/** Acts that revoke, and replicas of the feed, on one database. */
export function revocationsOn(t: Test, { database, transact }: TestDatabase) {
  const log = createRevocationLog();
  const store = createRevocationStore(database);
  const openFeed = (options: Replica = {}) => {
    const feed = createRevocationFeed({ store, windowMs: WINDOW_MS, now: Date.now, ...options });
    t.teardown(feed.close);
    return feed;
  };
  const end = (...sessionIds: string[]) =>
    transact((transaction) => log.sessionsEnded(transaction, sessionIds));
  /** Adds that many sessions which have their places already. */
  const fill = async (count: number) => {
    await database.execute(
      sql`insert into revocations (seq, kind, subject) select n, 'session', decode(left(md5(n::text), 16), 'hex')
        from generate_series(1, ${count}::integer) as n`,
    );
  };
  return { log, store, openFeed, end, fill };
}

/** All parts after a cursor, until there is no more. */
export async function partsAfter(
  feed: { answer(after: string | null): Promise<FeedPart> },
  after: string | null,
): Promise<FeedPart[]> {
  const part = await feed.answer(after);
  return part.more ? [part, ...(await partsAfter(feed, part.cursor))] : [part];
}

/** The hashes of a part, in hexadecimal. */
export function hashesIn(hashes: Buffer): string[] {
  return Array.from({ length: hashes.length / 8 }, (_, at) =>
    hashes.subarray(8 * at, 8 * at + 8).toString('hex'),
  );
}
