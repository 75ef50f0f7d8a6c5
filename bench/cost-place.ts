import { randomBytes } from 'node:crypto';
import { hashGenerateToken } from '../src/sessions/generate-token.ts';
import { createPlace } from './place.ts';
import { hashSeeded, seedDatabase, tableSizes } from './seed-database.ts';
import { generateTokenOf } from './seed-rows.ts';
import { signUp } from './subjects.ts';

export type CostPlace = Awaited<ReturnType<typeof createCostPlace>>;

/** CPU times are right on a busy machine too, if no request is refused because of it. */
export const BUSY_MACHINE = { MAX_EVENT_LOOP_DELAY: '0s' };

/** Sessions that the measured requests use. */
const LIVE = 60_000;

/**
 * As in production, unlike tests: after a checkpoint the first change of each page writes all of it to the log. No checkpoint
 * comes by itself.
 */
const POSTGRES = ['full_page_writes=on', 'checkpoint_timeout=1h', 'max_wal_size=40GB'].flatMap((one) => [
  '-c',
  one,
]);

/** A place with one server and seeded tables. @param tell called now and then with what is being done */
export async function createCostPlace(users: number, sessions: number, tell: (what: string) => void) {
  const place = await createPlace(...POSTGRES);
  try {
    const server = await place.startServer(BUSY_MACHINE);
    const password = randomBytes(18).toString('base64url');
    const plan = { users, sessions, seed: 1, atOnce: 50_000, passwordHash: await hashSeeded(password) };
    await seedDatabase(place.sql, plan, (done) => tell(`${done.users} users, ${done.sessions} sessions`));
    await place.sql`vacuum (analyze) users, sessions`;
    const sizes = await tableSizes(place.sql);
    const live = await liveSessions(place.sql, sessions);
    // The first one after the seeding, which takes only its own users into account.
    const visitor = await signUp(server.url);
    return { ...place, server, password, users, sizes, live, visitor, client: await place.addClient() };
  } catch (error) {
    await place.close();
    throw error;
  }
}

/** Numbers of sessions that are good, from all over the table. */
async function liveSessions(
  sql: Awaited<ReturnType<typeof createPlace>>['sql'],
  sessions: number,
): Promise<number[]> {
  const step = Math.max(1, Math.floor(sessions / (LIVE * 1.5)));
  const tried = Array.from({ length: Math.ceil(sessions / step) }, (_, at) => at * step);
  const byHash = new Map(tried.map((at) => [hashGenerateToken(generateTokenOf(at)).toString('hex'), at]));
  const literal = `{${[...byHash.keys()].map((hex) => `"\\\\x${hex}"`).join(',')}}`;
  const rows = await sql<{ hash: string }[]>`
    select encode(generate_token, 'hex') as hash from sessions
     where generate_token = any((select ${literal}::text::bytea[])::bytea[])
       and ended_at is null and expires_at > now() + interval '1 hour' and idle_expires_at > now() + interval '1 hour'`;
  return rows.slice(0, LIVE).map(({ hash }) => byHash.get(hash) ?? 0);
}
