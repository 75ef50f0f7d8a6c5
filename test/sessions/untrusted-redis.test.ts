import { createHash, randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { build, createPlace, type Place, signUp, type TestApp } from '../helper.ts';
import { startRedis } from '../support/servers.ts';

async function connect(t: Test, url: string): Promise<Redis> {
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  return redis;
}

const keyOf = ({ REDIS_KEY_PREFIX }: Place, token: string) =>
  `${REDIS_KEY_PREFIX}session:${createHash('sha256').update(token).digest('hex')}`;

const token = ({ app }: TestApp, cookie: string) =>
  app.inject({ method: 'POST', url: '/token', headers: { cookie } });

test('two deployments on one Redis, with one prefix, do not know the sessions of each other', async (t) => {
  const [mine, theirs] = await Promise.all([createPlace(t), createPlace(t)]);
  const shared = { REDIS_URL: mine.REDIS_URL, REDIS_KEY_PREFIX: mine.REDIS_KEY_PREFIX };
  const production = await build(t, { PUBLIC_URL: 'https://auth.example.com' }, mine);
  for (const KEY_ENCRYPTION_KEY of [mine.KEY_ENCRYPTION_KEY, theirs.KEY_ENCRYPTION_KEY]) {
    const place = { ...theirs, ...shared, KEY_ENCRYPTION_KEY };
    if (KEY_ENCRYPTION_KEY === mine.KEY_ENCRYPTION_KEY)
      place.DATABASE_URL = (await createPlace(t)).DATABASE_URL;
    const staging = await build(t, { PUBLIC_URL: 'https://staging.example.com' }, place);
    const user = await signUp(staging.app);
    t.equal((await token(staging, user.cookie)).statusCode, 200);
    t.equal((await token(production, user.cookie)).statusCode, 404, 'the entry of staging is no session');
    t.equal((await token(staging, user.cookie)).statusCode, 200, 'and what production wrote there ends none');
  }
});

test('who reads Redis finds no address, name, network, id, cookie or token', async (t) => {
  const place = await createPlace(t);
  const server = await build(t, { CREDENTIAL_RATE_LIMIT: '100' }, place);
  const remoteAddress = '192.0.2.77';
  const user = await signUp(server.app);
  const { email, password, cookie } = user;
  const login = { method: 'POST', url: '/login', payload: { email, password }, remoteAddress } as const;
  t.equal((await server.app.inject(login)).statusCode, 200);
  t.equal((await token(server, cookie)).statusCode, 200);
  const redis = await connect(t, place.REDIS_URL);
  const keys = await redis.keys(`${place.REDIS_KEY_PREFIX}*`);
  const texts = await Promise.all(keys.map(async (key) => `${key} ${await redis.get(key)}`));
  t.ok(keys.some((key) => key.includes('session:')));
  t.ok(keys.some((key) => key.includes('limit:')));
  for (const secret of [email, user.user.id, user.token, password, remoteAddress, 'example.com'])
    for (const text of texts) t.notOk(text.includes(secret), `${secret} in ${text}`);
});

test('what is written into Redis signs nobody in', async (t) => {
  const place = await createPlace(t);
  const server = await build(t, {}, place);
  const victim = await signUp(server.app);
  await token(server, victim.cookie);
  const redis = await connect(t, place.REDIS_URL);
  const attackers = randomBytes(32).toString('base64url');
  const key = keyOf(place, attackers);
  const now = Date.now();
  const times = {
    createdAt: now,
    lastSeenAt: now,
    expiresAt: now + 86_400_000,
    idleExpiresAt: now + 86_400_000,
  };
  const claims = { email: victim.email, email_verified: false, cv: 1 };
  const { id } = victim.user;
  const record = { id, userId: id, claims, userStatus: 'active', ...times, ended: false, version: 1 };
  const tokenHash = createHash('sha256').update(attackers).digest('hex');
  const forged = [
    (await redis.get(keyOf(place, victim.token))) ?? '',
    JSON.stringify({ writtenAt: now, record }),
    JSON.stringify({ tokenHash, freshUntil: now + 60_000, record }),
    `${Math.floor(now / 86_400_000)}.${randomBytes(400).toString('base64')}`,
    'lease:1',
    'tombstone:1',
  ];
  for (const text of forged) {
    await redis.set(key, text, 'PX', 600_000);
    t.equal((await token(server, `__Host-g_token=${attackers}`)).statusCode, 404, text);
  }
  t.equal((await token(server, victim.cookie)).statusCode, 200);
});

test('a sign-out holds at once on every replica while Redis is full', async (t) => {
  const full = await startRedis('--maxmemory-policy', 'noeviction');
  t.teardown(() => full.stop());
  const place = { ...(await createPlace(t)), REDIS_URL: full.url };
  const [one, other] = [await build(t, {}, place), await build(t, {}, place)];
  const redis = await connect(t, full.url);
  const [leaving, staying] = [await signUp(one.app), await signUp(one.app)];
  for (const server of [one, other])
    for (const { cookie } of [leaving, staying]) t.equal((await token(server, cookie)).statusCode, 200);
  t.ok(await redis.get(keyOf(place, leaving.token)), 'its entry is in Redis');
  await redis.config('SET', 'maxmemory', '1');
  const headers = { cookie: leaving.cookie };
  t.equal((await one.app.inject({ method: 'POST', url: '/logout', headers })).statusCode, 204);
  for (const server of [other, one]) {
    t.equal((await token(server, leaving.cookie)).statusCode, 404);
    t.equal((await token(server, staying.cookie)).statusCode, 200);
  }
  await redis.config('SET', 'maxmemory', '0');
  for (const server of [other, one]) t.equal((await token(server, leaving.cookie)).statusCode, 404);
});
