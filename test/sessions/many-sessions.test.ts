import { Redis } from 'ioredis';
import t from 'tap';
import { build, codeOf, createPlace, type Place, runSql, signUp, type TestApp } from '../helper.ts';
import { eventually } from '../support/adapters.ts';

const MANY = 100_000;
const REVOKED_WITHIN_MS = 1_000;
/** Far beyond what a busy machine needs. */
const MAX_MS = 300_000;

type App = TestApp['app'];

t.setTimeout(MAX_MS);

/** A user with many sessions, some used at the same instant, and two replicas. */
async function setUp(t: Parameters<typeof createPlace>[0]) {
  const place = await createPlace(t);
  const settings = { SESSIONS_PER_USER: '0' };
  const [one, other] = [await build(t, settings, place), await build(t, settings, place)];
  const user = await signUp(one.app);
  await runSql(
    place.DATABASE_URL,
    `insert into sessions (id, user_id, generate_token, created_at, last_seen_at, expires_at, idle_expires_at)
      select gen_random_uuid(), '${user.user.id}', sha256(n::text::bytea), seen, seen, seen + interval '30 days',
        seen + interval '14 days'
      from (select n, now() - interval '1 hour' + n / 10 * interval '1 ms' as seen
        from generate_series(1, ${MANY}) as n) as many`,
  );
  return { place, one: one.app, other: other.app, user };
}

const call = (app: App, method: 'GET' | 'POST' | 'DELETE', url: string, cookie: string) =>
  app.inject({ method, url, headers: { cookie } });

async function countOf(place: Place, query: string): Promise<number> {
  const [row] = await runSql<{ n: string }>(place.DATABASE_URL, `select count(*) as n ${query}`);
  return Number(row?.n);
}

/** Signs users in and out until it is stopped. @returns after how long the other replica refused each of them */
async function signOutOthers(one: App, other: App, isOver: () => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const { cookie } = await signUp(one);
    if ((await call(other, 'POST', '/token', cookie)).statusCode !== 200) throw new Error('no token');
    const { statusCode } = await call(one, 'POST', '/logout', cookie);
    if (statusCode !== 204) throw new Error(`a sign-out was answered with ${statusCode}`);
    const acknowledgedAt = performance.now();
    await eventually(async () => {
      const answer = await call(other, 'POST', '/token', cookie);
      if (answer.statusCode !== 404) throw new Error('signed out, and still a token');
    });
    times.push(performance.now() - acknowledgedAt);
  }
  return times;
}

t.test('ending very many sessions ends them all, and holds up nothing of other users', async (t) => {
  const { place, one, other, user } = await setUp(t);
  let isOver = false;
  const others = signOutOthers(one, other, () => isOver);
  const answers: number[] = [];
  while (answers.at(-1) !== 204 && answers.length < 30) {
    const startedAt = performance.now();
    const answer = await call(one, 'DELETE', '/sessions', user.cookie);
    answers.push(answer.statusCode);
    t.ok(performance.now() - startedAt < 10_000, 'an answer comes before browsers give up');
    if (answer.statusCode !== 204) {
      t.equal(codeOf(answer), 'unavailable');
      t.match(answer.headers['retry-after'], /^\d+$/);
      t.match(answer.json().detail, /again/);
    }
  }
  t.equal(answers.at(-1), 204, `answers: ${answers}`);
  t.equal(
    await countOf(place, `from sessions where user_id = '${user.user.id}' and ended_at is null`),
    1,
    'nothing was acknowledged too early',
  );
  isOver = true;
  const times = await others;
  const late = times.filter((ms) => ms > REVOKED_WITHIN_MS);
  // On a busy machine Redis may miss its 100 ms for one of them, which then goes out a second later.
  t.ok(late.length <= times.length / 20, `${late.length} of ${times.length} sign-outs: ${late}`);
  await eventually(async () => {
    if ((await countOf(place, 'from outbox')) > 0) throw new Error('messages are left');
  });
  const redis = new Redis(place.REDIS_URL);
  t.teardown(() => redis.disconnect());
  const [last] = await runSql<{ hash: string }>(
    place.DATABASE_URL,
    `select encode(generate_token, 'hex') as hash from sessions where ended_at is not null
      order by ended_at desc, id limit 1`,
  );
  t.match(await redis.get(`${place.REDIS_KEY_PREFIX}session:${last?.hash}`), /^tombstone:/);
  t.equal((await call(other, 'POST', '/token', user.cookie)).statusCode, 200);
});

t.test('many lists at once of a user with very many sessions hold up nobody else', async (t) => {
  const { one, user } = await setUp(t);
  const bystander = await signUp(one);
  const lists = Array.from({ length: 300 }, () => call(one, 'GET', '/sessions', user.cookie));
  const startedAt = performance.now();
  const answer = await call(one, 'GET', '/me', bystander.cookie);
  t.equal(answer.statusCode, 200);
  t.comment(`the bystander waited ${Math.round(performance.now() - startedAt)} ms`);
  const statuses = new Set((await Promise.all(lists)).map(({ statusCode }) => statusCode));
  t.strictSame([...statuses], [200]);
});
