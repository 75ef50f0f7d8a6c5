import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { createStatsStore } from '../../src/admin/stats-store.ts';
import { sql } from '../../src/db/drizzle.ts';
import { auditEvents, sessions, users } from '../../src/db/schema.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

for (const { name, open } of databases) test(name, (t) => suite(t, open));

const HOUR_MS = 3_600_000;

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  const { database } = await open(t);
  const exact = createStatsStore(database, 100);
  const rough = createStatsStore(database, 3);
  const now = Date.now();

  const ids = Array.from({ length: 8 }, () => uuidv7());
  await database.insert(users).values(
    ids.map((id, n) => ({
      ...{ id, email: `${n}@example.com`, emailAsTyped: `${n}@example.com` },
      emailVerifiedAt: n < 2 ? new Date() : null,
      ...(n < 5 && { status: 'banned' as const, bannedAt: new Date() }),
      ...(n === 0 && { bannedUntil: new Date(now - HOUR_MS) }),
    })),
  );
  await database.insert(sessions).values(
    ids.map((userId, n) => ({
      ...{ id: uuidv7(), userId, generateToken: Buffer.alloc(32, n), expiresAt: new Date(now + HOUR_MS) },
      idleExpiresAt: new Date(now + (n === 0 ? -HOUR_MS : HOUR_MS)),
      endedAt: n === 1 || n === 2 ? new Date() : null,
    })),
  );

  t.test('few rows are counted; a ban that is over is none', async (t) => {
    t.same(await exact.countUsers(), {
      ...{ total: { count: 8, isEstimate: false }, banned: 4, unverified: 6 },
    });
    t.same(await exact.countLiveSessions(), { count: 5, isEstimate: false });
  });

  t.test('many rows are estimated, also before PostgreSQL has looked at the table', async (t) => {
    t.match(await rough.countUsers(), { total: { count: 4, isEstimate: true }, banned: 3 });
    t.match(await rough.countLiveSessions(), { isEstimate: true });
    await database.execute(sql`analyze`);
    t.same(await rough.countUsers(), {
      ...{ total: { count: 8, isEstimate: true }, banned: 3, unverified: 6 },
    });
    t.same(await rough.countLiveSessions(), { count: 6, isEstimate: true });
  });

  t.test('events are counted by hour and kind, up to a bound', async (t) => {
    const bound = (ms: number) => `${ms.toString(16).padStart(12, '0')}`.replace(/^(.{8})/, '$1-');
    const idAt = (ms: number) => `${bound(ms)}-0000-0000-000000000000`;
    const at = (ms: number, kind: string) => ({ id: uuidv7({ msecs: ms }), kind });
    await database
      .insert(auditEvents)
      .values([
        ...[1, 2, 3, 4, 5].map((n) => at(now - n, 'session.started')),
        at(now - HOUR_MS, 'sign_in.failed'),
        at(now, 'session.started'),
        at(now - 1, 'session.ended'),
      ]);
    const kinds = ['session.started', 'sign_in.failed'];
    const [early, late] = [
      { from: idAt(now - HOUR_MS), to: idAt(now - 10) },
      { from: idAt(now - 10), to: idAt(now) },
    ];
    t.same(await exact.countEvents(early, kinds), [{ kind: 'sign_in.failed', count: 1 }]);
    t.same(await exact.countEvents(late, kinds), [{ kind: 'session.started', count: 5 }]);
    t.same(await rough.countEvents(late, kinds), [{ kind: 'session.started', count: 3 }]);
  });
}
