import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import postgres from 'postgres';
import { t as root, test } from 'tap';
import { sessionCounts } from '../../bench/seed-counts.ts';
import { seedDatabase } from '../../bench/seed-database.ts';
import { emailOf, generateTokenOf } from '../../bench/seed-rows.ts';
import { hashGenerateToken } from '../../src/sessions/generate-token.ts';
import { build, createPlace, type Place, runSql } from '../helper.ts';
import { runToEnd } from '../support/processes.ts';

const USERS = 300;
const SESSIONS = 1_500;
const BATCH = 400;

const place = await createPlace(root);
const password = randomBytes(12).toString('base64url');
const seed = (at: Place, ...args: string[]) =>
  runToEnd({ ...at, BENCH_PASSWORD: password }, 'bench/seed.ts', '--batch', String(BATCH), ...args);
const sizes = ['--users', String(USERS), '--sessions', String(SESSIONS)];

test('users have very different numbers of sessions, which have the wanted sum', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(2_000), fc.nat(1_000), (users, sessions, seed) => {
      const counts = sessionCounts(users, sessions, seed);
      t.equal(counts.length, users);
      t.equal(
        counts.reduce((sum, count) => sum + count, 0),
        sessions,
      );
    }),
  );
  const counts = sessionCounts(100_000, 500_000, 1).toSorted();
  t.same(counts, sessionCounts(100_000, 500_000, 1).toSorted(), 'the same seed, the same numbers');
  t.notSame(counts, sessionCounts(100_000, 500_000, 2).toSorted());
  // Of a log-normal distribution with sigma 1 and mean 5, the median is 3.03 and the 99th of a hundred 31.
  t.ok(Math.abs((counts[50_000] ?? 0) - 3) <= 1, `median ${counts[50_000]}`);
  t.ok(Math.abs((counts[99_000] ?? 0) - 31) <= 2, `the 99th of a hundred ${counts[99_000]}`);
});

test('an interrupted seeding goes on behind its last whole batch, and says what it has stored', async (t) => {
  const sql = postgres(place.DATABASE_URL, { max: 1 });
  const plan = { users: USERS, sessions: SESSIONS, seed: 1, atOnce: BATCH, passwordHash: 'none' };
  const interrupted = seedDatabase(sql, plan, () => {
    throw new Error('interrupted');
  });
  await t.rejects(interrupted, { message: 'interrupted' });
  await sql.end();
  const [begun] = await runSql<{ users: number; sessions: number }>(
    place.DATABASE_URL,
    'select (select count(*)::int from users) as users, (select count(*)::int from sessions) as sessions',
  );
  const { users, sessions } = { users: 0, sessions: 0, ...begun };
  t.ok(sessions > 0 && sessions <= BATCH, 'one batch');
  const { code, stdout, stderr } = await seed(place, ...sizes);
  t.equal(code, 0, stderr);
  t.match(stdout, new RegExp(`^\\n${USERS - users} users and ${SESSIONS - sessions} sessions in .* rows/s`));
  t.match(stdout, /sessions: 1500 rows, .*\n {2}heap .*\n {2}sessions_ended_at_idx .*MB, \d+ bytes a row/);
  const again = await seed(place, ...sizes);
  t.match(again.stdout, /^\n0 users and 0 sessions/, 'all is there');
});

test('the rows are such as the server makes', async (t) => {
  const [row] = await runSql<Record<string, number>>(
    place.DATABASE_URL,
    `select count(*)::int as all, count(distinct user_id)::int as users, count(distinct date(created_at))::int as days,
            count(*) filter (where ended_at is not null)::int as ended,
            count(*) filter (where ended_at is null and idle_expires_at < now())::int as expired,
            count(*) filter (where last_seen_at < created_at or idle_expires_at > expires_at
              or last_seen_at > now() or (ended_at is null) <> (end_reason is null)
              or ended_at < now() - interval '1 day' or idle_expires_at < now() - interval '2 days')::int as wrong,
            count(*) filter (where substr(id::text, 15, 1) <> '7' or substr(id::text, 20, 1) <> '8')::int as not_v7
       from sessions`,
  );
  t.match(row, { all: SESSIONS, wrong: 0, not_v7: 0 });
  t.ok((row?.days ?? 0) >= 31, 'of all ages');
  const between = (value = 0, least: number, most: number) => value >= least && value <= most;
  t.ok(between(row?.ended, SESSIONS * 0.03, SESSIONS * 0.08), `${row?.ended} have ended`);
  t.ok(between(row?.expired, SESSIONS * 0.01, SESSIONS * 0.1), `${row?.expired} have expired`);
});

test('a seeded user signs in, and the cookie of a seeded session works as long as the session lives', async (t) => {
  const { app } = await build(t, {}, place);
  // The first ones were stored before the interruption, without this password.
  const payload = { email: emailOf(USERS - 1), password };
  t.equal((await app.inject({ method: 'POST', url: '/login', payload })).statusCode, 200);
  t.equal(
    (await app.inject({ method: 'POST', url: '/login', payload: { ...payload, password: 'Another-1' } }))
      .statusCode,
    401,
  );
  const live = await runSql<{ hash: string }>(
    place.DATABASE_URL,
    `select encode(generate_token, 'hex') as hash from sessions
      where ended_at is null and expires_at > now() and idle_expires_at > now()`,
  );
  const hashes = new Set(live.map(({ hash }) => hash));
  const found = { 200: 0, 404: 0 };
  for (let session = 0; session < 60; session += 1) {
    const token = generateTokenOf(session);
    const cookie = `__Host-g_token=${token}`;
    const { statusCode } = await app.inject({ method: 'POST', url: '/token', headers: { cookie } });
    const expected = hashes.has(hashGenerateToken(token).toString('hex')) ? 200 : 404;
    t.equal(statusCode, expected, `session ${session}`);
    found[expected] += 1;
  }
  t.ok(found[200] > 40 && found[404] > 0, 'there are both kinds');
});

test('users of its own, or of another plan, keep a database from being seeded', async (t) => {
  const other = await seed(place, '--users', String(USERS), '--sessions', '2000');
  t.equal(other.code, 1);
  t.match(other.stderr, /1500 sessions of another plan: take an empty one|1501 sessions of another plan/);
  const used = await createPlace(t);
  const { app } = await build(t, {}, used);
  const payload = { email: 'ada@example.com', password: randomBytes(12).toString('base64url') };
  t.equal((await app.inject({ method: 'POST', url: '/signup', payload })).statusCode, 201);
  const { code, stderr } = await seed(used, ...sizes);
  t.equal(code, 1);
  t.match(stderr, /the database has 1 users of its own/);
});
