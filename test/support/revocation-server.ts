import postgres from 'postgres';
import type { Test } from 'tap';
import { NO_HINTS } from '../../src/cache/redis-hints.ts';
import type { Transact } from '../../src/db/database.ts';
import { breakingGuard, createTransact, deadlineGuard } from '../../src/db/database-guard.ts';
import { loadPostgresDriver } from '../../src/db/drizzle.ts';
import { migratePostgres } from '../../src/db/migrate-postgres.ts';
import { createRevocationLog } from '../../src/db/revocation-log.ts';
import * as schema from '../../src/db/schema.ts';
import { openRevocations } from '../../src/revocations/open-revocations.ts';
import type { RevocationFeed } from '../../src/revocations/revocation-feed.ts';
import { createPlatform } from './platform.ts';
import { hashesIn } from './revocations.ts';
import { type PrivateServer, startPostgres } from './servers.ts';

const { drizzle } = loadPostgresDriver();

/** Longer than a busy machine needs. */
const GENEROUS_DEADLINE_MS = 30_000;

/** A PostgreSQL of the test's own, with a migrated database, and replicas with connections of their own. */
export async function openRevocationServer(t: Test) {
  const server = await startPostgres();
  t.teardown(() => server.stop());
  const admin = connectTo(t, server.url, 2);
  const place = async (name: string, template = 'template0') => {
    await admin.unsafe(`create database ${name} template ${template}`);
    return urlOf(server, name);
  };
  const url = await place('doorward');
  const migrating = connectTo(t, url, 2);
  await migratePostgres(migrating, () => {});
  await migrating.end();
  return { server, admin, url, place };
}

function connectTo(t: Test, url: string, most: number): postgres.Sql {
  const client = postgres(url, { max: most, onnotice: () => {}, connect_timeout: 2 });
  t.teardown(() => client.end({ timeout: 1 }));
  return client;
}

function urlOf({ url }: PrivateServer, name: string): string {
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}

/** One process of Doorward, as far as it notes and reads revocations. Its breaker is that of a server. */
export function openReplica(t: Test, url: string, { most = 2, deadlineMs = GENEROUS_DEADLINE_MS } = {}) {
  const client = connectTo(t, url, most);
  const database = drizzle(client, { schema });
  const guard = breakingGuard({
    ping: async () => client`select 1`,
    deadlineMs,
    onProbeLost: () => {},
    onBreak: () => {},
  });
  t.teardown(guard.close);
  const platform = createPlatform(database, { config: { EMBEDDED: false }, guard });
  const { feed, close } = openRevocations(platform, NO_HINTS);
  t.teardown(close);
  const transact: Transact = createTransact(database, deadlineGuard(GENEROUS_DEADLINE_MS));
  const log = createRevocationLog();
  const end = (...ids: string[]) => transact((transaction) => log.sessionsEnded(transaction, ids));
  const leave = async () => {
    await close();
    await client.end();
  };
  return { client, database, feed, log, transact, end, leave };
}

/** What a verifier does: it keeps what it gets, and asks for what came after. */
export function createFollower(feed: RevocationFeed) {
  const sessions = new Set<string>();
  let cursor: string | null = null;
  const follower = {
    sessions,
    /** How often all had to be forgotten. */
    resets: 0,
    /** How many entries came that it held already. */
    repeated: 0,
    cursor: () => cursor,
    /** Asks once. @param of another replica */
    async poll(of = feed) {
      const part = await of.answer(cursor);
      if (part.from === null) {
        follower.resets += 1;
        sessions.clear();
      }
      for (const hash of hashesIn(part.sessions)) {
        if (sessions.has(hash)) follower.repeated += 1;
        sessions.add(hash);
      }
      cursor = part.cursor;
      return part;
    },
  };
  return follower;
}
