/**
 * `npm run test:slow`: signing keys are rotated while services verify, with the shortest periods that stock `jose`
 * allows. It takes some three minutes of real time, because the cool-down of 30 s is real.
 */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import t, { type Test } from 'tap';
import { IGNORE_EVENTS, openAdapters } from '../../src/adapters/open-adapters.ts';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/http/logging.ts';
import type { KeyRotation } from '../../src/keys/key-commands.ts';
import { createPlace, newCredentials, quickSettings } from '../helper.ts';
import { doorward } from '../support/processes.ts';

const SKEWS_MS = [-60_000, 0, 60_000];
const MINT_EVERY_MS = 100;
/** After this many mints every token is verified again, until it expires. */
const TICKS_PER_ROUND = 10;
const ROLLOVERS = 3;

/** The shortest periods that the rules of the settings allow. */
const SHORTEST_PERIODS = {
  JWKS_MAX_AGE: '1s',
  KEY_PUBLISH_AHEAD: '41s',
  KEY_ROTATION_EVERY: '41s',
  ACCESS_TOKEN_TTL: '1m',
  KEY_RETAIN: '90s',
};
/** Longer than these rollovers may take before the test gives up. */
const GIVE_UP_AFTER_MS = 240_000;
/** A replica sees a change within this time. */
const LEARNS_WITHIN_MS = 5_000;
/** Stock `jose` does not fetch a key set again before this time is over. */
const JOSE_COOLDOWN_MS = 30_000;

type Settings = Record<string, string>;

/** How often a service fetched the key set, and how often it was unchanged. */
type Fetches = { fetches: number; notModified: number };

/** One origin in front of several replicas, in turns. It counts fetches of the key set by service, named in `?for=`. */
type Front = { url: string; add(replica: string): void; fetchesOf(name: string): Fetches };

async function startFront(t: Test): Promise<Front> {
  const replicas: string[] = [];
  const counts = new Map<string, Fetches>();
  let turn = 0;
  const countOf = (name: string) => {
    const count = counts.get(name) ?? { fetches: 0, notModified: 0 };
    counts.set(name, count);
    return count;
  };
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '/', replicas[turn++ % replicas.length]);
    const { method, headers } = incoming;
    const onward = request(url, { method: method ?? 'GET', headers }, (answer) => {
      const count = countOf(url.searchParams.get('for') ?? '');
      count.fetches += 1;
      if (answer.statusCode === 304) count.notModified += 1;
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.writeHead(502).end());
    incoming.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  return {
    url: `http://127.0.0.1:${address.port}`,
    add: (replica) => void replicas.push(replica),
    fetchesOf: countOf,
  };
}

/** Starts a replica whose own clock is wrong. Returns its URL. */
async function startReplica(t: Test, settings: Settings, skewMs: number, log: string[]): Promise<string> {
  const config = loadConfig({ ...quickSettings, ...settings, LOG_LEVEL: 'warn' });
  const clock = () => Date.now() + skewMs;
  const adapters = await openAdapters(config, clock, IGNORE_EVENTS);
  const logger = createLogger(config.LOG_LEVEL, false, { write: (line) => void log.push(line) });
  const app = await buildApp(config, adapters, { clock, lifecycle: { state: 'running' }, logger });
  t.teardown(async () => {
    await app.close();
    await adapters.close();
  });
  return app.listen({ host: '127.0.0.1', port: 0 });
}

/** Three replicas with clocks two minutes apart, behind one front, and a user who is signed in there. */
async function startServers(t: Test, periods: Settings) {
  const front = await startFront(t);
  const settings: Settings = { ...(await createPlace(t)), ...periods, PUBLIC_URL: front.url };
  const log: string[] = [];
  const replicas: string[] = [];
  // One after the other: all are in this process, and on a busy machine one would block another past the deadline of the database.
  for (const skewMs of SKEWS_MS) replicas.push(await startReplica(t, settings, skewMs, log));
  replicas.forEach(front.add);
  const cookie = await signUp(front.url);
  return { front, settings, replicas, log, mint: () => mint(front.url, cookie) };
}

async function signUp(url: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify(newCredentials());
  const answer = await fetch(`${url}/signup`, { method: 'POST', headers, body });
  return answer.headers
    .getSetCookie()
    .map((line) => line.replace(/;.*/, ''))
    .join('; ');
}

/** An access token as the front's next replica mints it, with what the test needs to know of it. */
type Minted = { token: string; kid: string; expiresAt: number; tookMs: number };

async function mint(url: string, cookie: string): Promise<Minted> {
  const startedAt = performance.now();
  const answer = await fetch(`${url}/token`, { method: 'POST', headers: { cookie } });
  if (answer.status !== 200) throw new Error(`/token answered ${answer.status}`);
  const { access_token: token } = (await answer.json()) as { access_token: string };
  const tookMs = performance.now() - startedAt;
  const expiresAt = (decodeJwt(token).exp ?? 0) * 1000;
  return { token, kid: decodeProtectedHeader(token).kid ?? '', expiresAt, tookMs };
}

/** A service. It verifies as docs/protect-a-service/jose.md says and counts what it saw. */
function createService({ url }: Front, name: string, keys: JWTVerifyGetKey) {
  const seen = { name, verified: 0, failures: [] as string[] };
  return {
    seen,
    /** @returns why it refuses the token, or null */
    async verify({ token, kid }: Minted, at = Date.now()): Promise<string | null> {
      seen.verified += 1;
      const rules = { issuer: url, audience: 'api', typ: 'at+jwt', currentDate: new Date(at) };
      try {
        await jwtVerify(token, keys, rules);
        return null;
      } catch (error) {
        const reason = error instanceof errors.JOSEError ? error.code : String(error);
        seen.failures.push(`${reason} (${kid})`);
        return reason;
      }
    },
  };
}

type Service = ReturnType<typeof createService>;

const keySetUrl = (front: Front, name: string) =>
  new URL(`${front.url}/.well-known/jwks.json?for=${encodeURIComponent(name)}`);

/** `createRemoteJWKSet` with no option set. */
function createStockService(front: Front, name: string): Service {
  return createService(front, name, createRemoteJWKSet(keySetUrl(front, name)));
}

/** Follows Cache-Control exactly, as a cache does: it does not fetch for an unknown kid before max-age is over. */
function createCachingService(front: Front, name: string): Service {
  let keys: JWTVerifyGetKey = createLocalJWKSet({ keys: [] });
  let etag = '';
  let freshUntil = 0;
  const renew = async () => {
    const answer = await fetch(keySetUrl(front, name), { headers: { 'if-none-match': etag } });
    const [, maxAge] = /^public, max-age=(\d+)$/.exec(answer.headers.get('cache-control') ?? '') ?? [];
    freshUntil = Date.now() + Number(maxAge) * 1000;
    if (answer.status === 304) return;
    etag = answer.headers.get('etag') ?? '';
    keys = createLocalJWKSet((await answer.json()) as JSONWebKeySet);
  };
  return createService(front, name, async (header, token) => {
    if (Date.now() >= freshUntil) await renew();
    return keys(header, token);
  });
}

async function kidsAt(url: string): Promise<string[]> {
  const answer = await fetch(`${url}/.well-known/jwks.json`);
  return ((await answer.json()) as JSONWebKeySet).keys.map(({ kid }) => kid ?? '');
}

/** Calls `tick` at a steady pace until it returns false. After a delay, calls follow each other more quickly. */
async function everyTick(tick: (count: number) => Promise<boolean>): Promise<void> {
  const startedAt = Date.now();
  for (let count = 0; await tick(count); count += 1) {
    await delay(Math.max(0, startedAt + (count + 1) * MINT_EVERY_MS - Date.now()));
  }
}

function table(rows: (string | number)[][]): string {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => String(row[at]).length))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, at) => String(cell).padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function serviceTable(front: Front, services: Service[]): string {
  const rows = services.map(({ seen: { name, verified, failures } }) => {
    const { fetches, notModified } = front.fetchesOf(name);
    return [name, verified, failures.length, fetches, notModified];
  });
  return table([['service', 'verified', 'refused', 'JWKS fetches', 'of these 304'], ...rows]);
}

t.setTimeout(400_000);
// Neither needs much of the machine, and both wait a lot.
t.jobs = 2;

t.test(`${ROLLOVERS} rollovers fail no verification`, { buffered: true }, async (t) => {
  const { front, replicas, log, mint } = await startServers(t, SHORTEST_PERIODS);
  const stock = createStockService(front, 'stock jose');
  const caching = createCachingService(front, 'Cache-Control');
  let late: Service | undefined;

  const minted: Minted[] = [];
  const kids = new Set<string>();
  const startedAt = Date.now();
  let rechecks = 0;

  const isAlive = ({ expiresAt }: Minted, now: number) => now < expiresAt;
  /** A tenth of all living tokens, another one each time. */
  const recheck = async (count: number) => {
    const now = Date.now();
    const due = minted.filter(
      (one, at) => at % TICKS_PER_ROUND === count % TICKS_PER_ROUND && isAlive(one, now),
    );
    rechecks += due.length;
    await Promise.all(due.map((one) => stock.verify(one, now)));
  };
  const mintAndVerify = async () => {
    const one = await mint();
    minted.push(one);
    kids.add(one.kid);
    await Promise.all([stock, caching, late].map((service) => service?.verify(one)));
  };
  /** Starts a new service when there are valid tokens of two keys, and verifies all of them at once. */
  const letLateOneIn = async () => {
    const now = Date.now();
    const service = createStockService(front, 'late stock jose');
    await Promise.all(minted.filter((one) => isAlive(one, now)).map((one) => service.verify(one, now)));
    late = service;
  };

  await everyTick(async (count) => {
    await Promise.all([mintAndVerify(), recheck(count)]);
    if (kids.size === ROLLOVERS && late === undefined) await letLateOneIn();
    return kids.size <= ROLLOVERS && Date.now() < startedAt + GIVE_UP_AFTER_MS;
  });
  const mintedForMs = Date.now() - startedAt;
  const livedLonger = minted.filter((one) => one.kid !== [...kids].at(-1) && isAlive(one, Date.now())).length;
  await everyTick(async (count) => {
    await recheck(count);
    return minted.some((one) => isAlive(one, Date.now()));
  });

  const services = [stock, caching, ...(late === undefined ? [] : [late])];
  const [oldest] = minted;
  t.equal(kids.size, ROLLOVERS + 1, 'that many rollovers were seen');
  for (const { seen } of services) t.same(seen.failures, [], `${seen.name}: nothing was refused`);
  t.ok(late, 'a late service was there too');
  t.ok(livedLonger > 0, 'tokens of a retired key were verified to their end');
  t.ok(front.fetchesOf('Cache-Control').notModified > 0, '304 was answered');
  const served = await Promise.all(replicas.map(kidsAt));
  t.same(served, [served[0], served[0], served[0]], 'all replicas serve the same keys at the end');
  t.notOk(served[0]?.includes(oldest?.kid ?? ''), 'the first key is gone, 90 s after it retired');
  if (oldest) {
    const judge = createStockService(front, 'judge');
    t.equal(await judge.verify({ ...oldest }), 'ERR_JWKS_NO_MATCHING_KEY', 'with its tokens');
    const last = minted.at(-1) ?? oldest;
    t.equal(await judge.verify(last, last.expiresAt), 'ERR_JWT_EXPIRED', 'and the last token is over');
  }
  t.comment(
    table([
      ['rollovers', kids.size - 1],
      ['kids seen', [...kids].map((kid) => kid.slice(0, 6)).join(' ')],
      ['clocks', `${SKEWS_MS.map((ms) => ms / 1000).join(', ')} s`],
      ['tokens minted', `${minted.length} in ${Math.round(mintedForMs / 1000)} s`],
      ['slowest mint', `${Math.max(...minted.map(({ tookMs }) => Math.round(tookMs)))} ms`],
      ['verified again', rechecks],
      ['alive at the last rollover', livedLonger],
      ['warnings logged', log.length],
    ]),
  );
  t.comment(serviceTable(front, services));
});

t.test('a revoked key is gone within seconds', { buffered: true }, async (t) => {
  const { front, settings, replicas, mint } = await startServers(t, {});
  const stock = createStockService(front, 'stock jose');
  const old = await mint();
  t.equal(await stock.verify(old), null);
  const fetchedAt = Date.now();

  const { code, stdout } = await doorward(settings, 'keys', 'rotate', '--now', '--revoke', old.kid, '--json');
  const revokedAt = Date.now();
  t.equal(code, 0);
  t.match(
    (JSON.parse(stdout) as KeyRotation).keys.map(({ status }) => status),
    ['revoked', 'active'],
  );
  while ((await Promise.all(replicas.map(kidsAt))).flat().includes(old.kid)) {
    if (Date.now() > revokedAt + LEARNS_WITHIN_MS) break;
    await delay(50);
  }
  const goneMs = Date.now() - revokedAt;
  t.ok(goneMs < LEARNS_WITHIN_MS, 'it is in the key set of no replica any more');

  const fresh = createStockService(front, 'fresh stock jose');
  for (const _ of replicas) {
    const next = await mint();
    t.not(next.kid, old.kid, 'new tokens are signed by another key');
    t.equal(await fresh.verify(next), null, 'which a service that starts now accepts at once');
  }
  t.equal(await fresh.verify(old), 'ERR_JWKS_NO_MATCHING_KEY', 'while it refuses those of the revoked key');

  t.equal(await stock.verify(old), null, 'a service that holds the key still accepts them');
  while ((await stock.verify(await mint())) !== null && Date.now() < fetchedAt + 2 * JOSE_COOLDOWN_MS) {
    await delay(500);
  }
  const acceptedMs = Date.now() - fetchedAt;
  t.ok(acceptedMs < JOSE_COOLDOWN_MS + LEARNS_WITHIN_MS, 'it accepts new ones after its cool-down');
  t.equal(await stock.verify(old), 'ERR_JWKS_NO_MATCHING_KEY', 'and from then on refuses the old ones');

  t.comment(`out of every replica's key set ${goneMs} ms after the command`);
  t.comment(`accepted by a running service ${acceptedMs} ms after it had fetched the keys`);
  t.comment(serviceTable(front, [stock, fresh]));
});
