import { randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { type Test, test } from 'tap';
import { eq, sql } from '../../src/db/drizzle.ts';
import { isLiveSession, isOpenSession } from '../../src/db/live-session.ts';
import { sessions, users } from '../../src/db/schema.ts';
import { isLive } from '../../src/sessions/session-rules.ts';
import { createSessionStore } from '../../src/sessions/session-store.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

for (const { name, open } of databases)
  test(`a row is live in SQL exactly when its copy is live in the cache, on ${name}`, (t) => suite(t, open));

/** Seconds from the database's now; null is never. */
const offset = fc.integer({ min: -3, max: 3 });
const row = fc.record({
  expires: offset,
  idleExpires: offset,
  ended: fc.option(offset, { freq: 1 }),
  status: fc.constantFrom('active' as const, 'banned' as const),
});

type Row = typeof row extends fc.Arbitrary<infer Value> ? Value : never;

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  const { database, transact } = await open(t);
  const [userId, id] = [randomUUID(), randomUUID()];
  const tokenHash = randomBytes(32);
  await database
    .insert(users)
    .values({ id: userId, email: 'a@example.com', emailAsTyped: 'a', passwordHash: '' });
  const later = sql`now() + interval '1 hour'`;
  await database
    .insert(sessions)
    .values({ id, userId, generateToken: tokenHash, expiresAt: later, idleExpiresAt: later });
  const seconds = (count: number) => sql`now() + ${count} * interval '1 second'`;
  const lives: boolean[] = [];

  const agree = async ({ expires, idleExpires, ended, status }: Row) =>
    // One transaction, so that both ask at one instant.
    transact(async (transaction) => {
      const { database: tx } = transaction;
      await tx.update(users).set({ status });
      const endedAt = ended === null ? null : seconds(ended);
      await tx
        .update(sessions)
        .set({ expiresAt: seconds(expires), idleExpiresAt: seconds(idleExpires), endedAt });
      const ask = async (condition: ReturnType<typeof isOpenSession>) => {
        const query = tx.select({ id: sessions.id }).from(sessions);
        return (await query.innerJoin(users, eq(users.id, sessions.userId)).where(condition)).length === 1;
      };
      const [found] = await createSessionStore(tx).findAll([tokenHash]);
      if (found == null) throw new Error('the session is missing');
      const { record, databaseNow } = found;
      const live = isLive(record, databaseNow.getTime());
      lives.push(live);
      const active = { ...record, userStatus: 'active' as const };
      return (
        (await ask(isLiveSession())) === live &&
        (await ask(isOpenSession())) === isLive(active, databaseNow.getTime())
      );
    });

  await t.resolves(fc.assert(fc.asyncProperty(row, agree), { numRuns: 100 }));
  t.ok(lives.includes(true) && lives.includes(false), 'some were live and some were not');
}
