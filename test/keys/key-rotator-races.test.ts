import type postgres from 'postgres';
import t, { type Test } from 'tap';
import { IGNORE_EVENTS, openAdapters } from '../../src/adapters/open-adapters.ts';
import { openPlatform } from '../../src/adapters/platform.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import type { Log } from '../../src/core/log.ts';
import type { KeyRing } from '../../src/keys/key-store.ts';
import { openKeys } from '../../src/keys/open-keys.ts';
import { startServices } from '../../src/services.ts';
import { createTokenService } from '../../src/tokens/token-service.ts';
import { createPlace, type Place, quickSettings } from '../helper.ts';
import { moveDatabaseTime } from '../support/database.ts';
import {
  countKeys,
  DAY_MS,
  kidOf,
  MINUTE_MS,
  openSeparateKeys,
  policy,
  type Replica,
} from '../support/keys.ts';

const ROUNDS = 50;

t.setTimeout(400_000);

type KeyPlace = Awaited<ReturnType<typeof openSeparateKeys>>;
type Counts = ReturnType<typeof countKeys>;

/** How much time passes until something is due, and the result, which is the same for any number of replicas. */
type Turn = { name: string; waitMs: number; after: Partial<Counts> };

/** The turns of one key's life; the algorithm changes at every second one. */
const turns: Turn[] = [
  { name: 'publish', waitMs: policy.rotateEveryMs, after: { pending: 1 } },
  { name: 'activate and retire', waitMs: policy.publishAheadMs, after: { retired: 1 } },
  { name: 'delete', waitMs: policy.retainMs, after: {} },
  { name: 'publish for the new algorithm', waitMs: 0, after: { pending: 1 } },
  { name: 'activate the new algorithm', waitMs: policy.publishAheadMs, after: { retired: 1 } },
  // The old key is deleted in the same transaction in which the next one is published.
  { name: 'delete and publish', waitMs: policy.rotateEveryMs, after: { pending: 1 } },
  { name: 'activate', waitMs: policy.publishAheadMs, after: { retired: 1 } },
  { name: 'delete', waitMs: policy.retainMs, after: {} },
];

/** Reads the table all the time, on a connection of its own, without the lock. */
function watch(sql: postgres.Sql) {
  const seen = { looks: 0, violations: 0 };
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const [row] = await sql`select
        count(*) filter (where activated_at is not null and retired_at is null and revoked_at is null)::int as active,
        count(*) filter (where activated_at is null and revoked_at is null)::int as pending
        from signing_keys`;
      seen.looks += 1;
      if (row?.active !== 1 || row.pending > 1) seen.violations += 1;
    }
  })();
  const stop = async () => {
    isOver = true;
    await watching;
  };
  return { seen, stop };
}

/** What no rotation may do. */
function violationsOf(before: KeyRing, after: KeyRing): string[] {
  const old = new Map(before.keys.map((key) => [key.kid, key]));
  const left = new Set(after.keys.map(({ kid }) => kid));
  const young = after.keys.filter(
    ({ kid, publishedAt, activatedAt }) =>
      activatedAt !== null &&
      old.get(kid)?.activatedAt === null &&
      activatedAt < publishedAt + policy.publishAheadMs,
  );
  const early = before.keys.filter(
    ({ kid, deleteAfter }) => !left.has(kid) && (deleteAfter === null || deleteAfter > after.databaseNow),
  );
  return [
    ...young.map(({ kid }) => `${kid} signs too early`),
    ...early.map(({ kid }) => `${kid} went too early`),
  ];
}

async function round(t: Test, place: KeyPlace, replicas: Replica[], turn: Turn) {
  const [first] = replicas;
  if (first === undefined) throw new Error('no replica');
  await place.moveTime(turn.waitMs);
  const stale = await first.store.list();
  const barrier = Promise.withResolvers<void>();
  const racing = replicas.map(async ({ rotator }) => {
    await barrier.promise;
    return rotator.rotateIfDue(stale);
  });
  barrier.resolve();
  await Promise.all(racing);
  const after = await first.store.list();
  const wanted = { pending: 0, active: 1, retired: 0, revoked: 0, ...turn.after };
  const violations = violationsOf(stale, after);
  const isRight = JSON.stringify(countKeys(after)) === JSON.stringify(wanted);
  if (!isRight) t.same(countKeys(after), wanted, turn.name);
  return [...violations, ...(isRight ? [] : [turn.name])];
}

t.test(`${ROUNDS} rounds of two to five replicas that rotate at a barrier`, async (t) => {
  const place = await openSeparateKeys(t);
  const replicasFor = (algorithm: 'ES256' | 'EdDSA') =>
    Array.from({ length: 5 }, () => place.replica({ policy: { algorithm } }));
  const byAlgorithm = [replicasFor('ES256'), replicasFor('EdDSA')];
  await byAlgorithm[0]?.[0]?.schedule.look();
  const watcher = watch(place.sql);
  const violations: string[] = [];
  let attempts = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const turn = turns[i % turns.length];
    if (turn === undefined) throw new Error('no turn');
    // From the fourth turn of each life on, the setting differs from the active key's algorithm.
    const algorithm = (Math.floor(i / turns.length) + (i % turns.length >= 3 ? 1 : 0)) % 2;
    const replicas = (byAlgorithm[algorithm] ?? []).slice(0, 2 + (i % 4));
    attempts += replicas.length;
    violations.push(...(await round(t, place, replicas, turn)));
  }
  await watcher.stop();
  t.comment(
    `${ROUNDS} rounds, ${attempts} attempts, ${watcher.seen.looks} looks meanwhile, ${watcher.seen.violations + violations.length} violations`,
  );
  t.same(violations, []);
  t.equal(watcher.seen.violations, 0, 'at every moment exactly one key was active, at most one pending');
  t.ok(watcher.seen.looks > ROUNDS);
});

t.test(
  'replicas that rotate while operators replace and publish keys have one active key throughout',
  async (t) => {
    const place = await openSeparateKeys(t);
    const replicas = Array.from({ length: 4 }, () => place.replica());
    await replicas[0]?.schedule.look();
    const watcher = watch(place.sql);
    for (let i = 0; i < 10; i++) {
      await place.moveTime([policy.rotateEveryMs, policy.publishAheadMs][i % 2] ?? 0);
      await Promise.all(
        replicas.map(async ({ rotator, store }, which) => {
          const ring = await store.list();
          if (which === 0) await rotator.replaceNow(kidOf(ring, 'active'));
          else if (which === 1) await rotator.publishNext();
          else await rotator.rotateIfDue(ring);
        }),
      );
    }
    await watcher.stop();
    t.equal(watcher.seen.violations, 0);
    t.ok(watcher.seen.looks > 10);
    const ring = await replicas[0]?.store.list();
    t.match(ring && countKeys(ring), { active: 1, revoked: 10 });
  },
);

t.test('five replicas that start at once on an empty database have one key', async (t) => {
  const place = await createPlace(t);
  const config = loadConfig({ ...quickSettings, ...place });
  const replicas = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const adapters = await openAdapters(config, Date.now, IGNORE_EVENTS);
      t.teardown(() => adapters.close());
      const services = await startServices(config, adapters, createDatabaseClock(Date.now), failOnTrouble(t));
      t.teardown(services.close);
      return services;
    }),
  );
  const [key, ...others] = (await replicas[0]?.commands['keys.list']()) ?? [];
  t.same(others, []);
  t.match(key, { status: 'active' });
  for (const { keys } of replicas) {
    t.match(JSON.parse(keys.jwks().body), { keys: [{ kid: key?.kid }] });
    t.match(keys.sign({}), /^ey/);
  }
});

/** A log that fails the test: no warning may be written here. */
function failOnTrouble(t: Test): Log {
  const fail = (context: object) => void t.error('err' in context ? context.err : context);
  return { debug: () => {}, warn: fail, error: fail };
}

/** One replica whose own clock is wrong, and the tokens that it mints. */
async function openSkewed(t: Test, place: Place, skewMs: number) {
  const config = loadConfig({ ...quickSettings, ...place });
  const clock = createDatabaseClock(() => Date.now() + skewMs);
  const adapters = await openAdapters(config, clock.local, IGNORE_EVENTS);
  t.teardown(() => adapters.close());
  const platform = openPlatform(config, adapters, clock, failOnTrouble(t));
  t.teardown(platform.close);
  const services = openKeys(platform, { audit: openAudit(platform).service });
  const session = { id: 's', userId: 'u', claims: { email: 'e', email_verified: false }, createdAt: 0 };
  const sessions = { find: async () => session } as unknown as Parameters<
    typeof createTokenService
  >[0]['sessions'];
  const tokens = createTokenService({
    ...{ sessions, keys: services.service, now: clock.now, issuer: 'i', clientId: 'c', audiences: ['a'] },
    findKey: async () => null,
    ttlMs: config.ACCESS_TOKEN_TTL,
    reuseMs: 0,
  });
  const mint = async () => {
    const { access_token } = await tokens.mint('any', '192.0.2.1');
    const [header = '', payload = ''] = access_token.split('.');
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    return { kid: read(header).kid, iat: read(payload).iat };
  };
  return { ...services, commands: services.commands(async () => {}), mint };
}

for (const skewMs of [MINUTE_MS, DAY_MS]) {
  t.test(`replicas whose clocks are off by ±${skewMs / 1000} s decide and mint the same`, async (t) => {
    const place = await createPlace(t);
    const replicas = await Promise.all([0, skewMs, -skewMs].map((skew) => openSkewed(t, place, skew)));
    let passedMs = 0;
    const pass = async (ms: number) => {
      passedMs += ms;
      await moveDatabaseTime(place.DATABASE_URL, ms);
    };
    const look = async () => {
      for (const { schedule } of replicas) await schedule.look();
      for (const { schedule } of replicas) await schedule.look();
      const minted = await Promise.all(replicas.map(({ mint }) => mint()));
      const now = Math.floor((Date.now() + passedMs) / 1000);
      for (const { iat } of minted) t.ok(Math.abs(iat - now) <= 1, `iat is off by ${iat - now} s`);
      t.equal(new Set(minted.map(({ kid }) => kid)).size, 1, 'one key signs');
      const served = replicas.map(({ service }) => service.jwks());
      t.equal(new Set(served.map(({ body }) => body)).size, 1, 'one key set');
      const ages = served.map(({ maxAgeSeconds }) => maxAgeSeconds);
      t.ok(Math.max(...ages) - Math.min(...ages) <= 1, `max-age ${ages}`);
      const list = await replicas[0]?.commands.list();
      return list?.map(({ status }) => status);
    };
    t.same(await look(), ['active']);
    await pass(policy.rotateEveryMs - policy.publishAheadMs - 5 * MINUTE_MS);
    t.same(await look(), ['active'], 'not a minute too early, by whichever clock');
    await pass(5 * MINUTE_MS);
    t.same(await look(), ['active', 'pending']);
    await pass(policy.publishAheadMs - MINUTE_MS / 2);
    t.same(await look(), ['active', 'pending']);
    await pass(MINUTE_MS / 2);
    t.same(await look(), ['retired', 'active']);
    await pass(policy.retainMs - MINUTE_MS / 2);
    t.same(await look(), ['retired', 'active']);
    await pass(MINUTE_MS / 2);
    t.same(await look(), ['active']);
  });
}
