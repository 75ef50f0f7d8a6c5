import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hashSync } from '@node-rs/argon2';
import type { Sql } from 'postgres';
import { loadPostgresDriver } from '../src/db/drizzle.ts';
import { hashGenerateToken } from '../src/sessions/generate-token.ts';
import { createSessionStore } from '../src/sessions/session-store.ts';
import { meter } from './cost-meters.ts';
import { BUSY_MACHINE, type CostPlace } from './cost-place.ts';
import type { Costs, RequestCost, RequestKind } from './cost-table.ts';
import { load, type Request } from './load.ts';
import { median } from './report.ts';
import { warmUp } from './rounds.ts';
import { emailOf, generateTokenOf } from './seed-rows.ts';
import { sendSteadily } from './steady-rate.ts';
import { doorRequest, introspectRequest, mint, mintRequest } from './subjects.ts';

const CONNECTIONS = 10;
const SECONDS = 2;
/** Sign-ins and sign-outs in one round. */
const SIGN_INS = 150;
/** Requests whose CPU times are compared: the last ones, when V8 is done with the code. */
const SPREAD_OF = 2_000;
/** The standard normal distribution has a hundredth of its values above. */
const NORMAL_99 = 2.3263;
/** Sessions that are written as used: few, so that each has pages of its own. */
const TOUCHED = 4_000;
/** Other work on the machine spoils a run, so the best of some counts. */
const STEADY_RUNS = 3;

/** What each kind of request costs. @param rounds of each; the median counts */
export async function measureRequests(
  place: CostPlace,
  rounds: number,
  tell: (what: string) => void,
): Promise<Record<RequestKind, RequestCost>> {
  const kinds = await loadsOf(place);
  await warmUp({ request: kinds.mintHit.request }, CONNECTIONS);
  await warmUp({ request: kinds.mintMiss.request, prepare: kinds.mintMiss.prepare }, CONNECTIONS);
  const taken: Record<string, RequestCost[]> = {};
  const keep = (kind: string, cost: RequestCost) => {
    taken[kind] = [...(taken[kind] ?? []), cost];
  };
  for (let round = 1; round <= rounds; round += 1) {
    tell(`round ${round} of ${rounds}`);
    for (const [kind, { request, prepare }] of Object.entries(kinds)) {
      await prepare();
      keep(kind, await meter(place, place.server, () => send(request)));
    }
    const cookies: string[] = [];
    keep('signIn', await meter(place, place.server, () => signInMany(place, round, cookies)));
    keep('signOut', await meter(place, place.server, () => signOutAll(place, cookies)));
  }
  const medians = Object.entries(taken).map(([kind, costs]) => [kind, medianOf(costs)]);
  return withoutHashing(Object.fromEntries(medians) as Record<RequestKind, RequestCost>);
}

type Loaded = { request: Request; prepare(): Promise<unknown> };

async function loadsOf(place: CostPlace) {
  const { server, visitor, client } = place;
  const token = await mint(server.url, visitor);
  const door = (credentials: Record<string, string>) => doorRequest(server.url, credentials);
  const noPreparation = async () => {};
  const simple = (request: Request): Loaded => ({ request, prepare: noPreparation });
  const hit = mintRequest(server.url, visitor);
  const miss = { ...hit, nextHeaders: cookiesOf(place) };
  return {
    mintHit: simple(hit),
    mintMiss: { request: miss, prepare: () => forgetAll(place) },
    introspect: simple(introspectRequest(server.url, client, token)),
    doorCookie: simple(door({ cookie: visitor.cookie })),
    doorBearer: simple(door({ authorization: `Bearer ${token}` })),
    keySet: simple({ method: 'GET', url: `${server.url}/.well-known/jwks.json`, status: 200 }),
  } satisfies Record<string, Loaded>;
}

/** The cookies of the live sessions, one after the other. */
function cookiesOf({ live, visitor }: CostPlace): () => Record<string, string> {
  const name = visitor.cookie.split('=', 1)[0];
  let at = 0;
  return () => {
    at = (at + 1) % live.length;
    return { cookie: `${name}=${generateTokenOf(live[at] ?? 0)}` };
  };
}

/** Makes every look-up a miss, of a session that was just used: to write that is measured apart. */
async function forgetAll({ sql, emptyCache, live }: CostPlace): Promise<void> {
  await sql`update sessions set last_seen_at = now() where id in (select unnest(${await idsOf(sql, live)}::text::uuid[]))`;
  await sql`vacuum sessions`;
  await emptyCache();
}

async function idsOf(sql: Sql, sessions: number[]): Promise<string> {
  const literal = `{${sessions.map((at) => `"\\\\x${hashGenerateToken(generateTokenOf(at)).toString('hex')}"`).join(',')}}`;
  const rows = await sql<{ id: string }[]>`
    select id from sessions where generate_token = any((select ${literal}::text::bytea[])::bytea[])`;
  return `{${rows.map(({ id }) => id).join(',')}}`;
}

/** @returns how many were answered. @throws Error if one was answered otherwise than it should be */
async function send(request: Request): Promise<number> {
  const { requests, errors } = await load(request, CONNECTIONS, SECONDS);
  if (errors > 0) throw new Error(`${errors} of ${requests} answers of ${request.url} are wrong`);
  return requests;
}

/** Signs in users who have not signed in before, four at a time. @param cookies gets theirs */
async function signInMany(
  { server, password, users }: CostPlace,
  round: number,
  cookies: string[],
): Promise<number> {
  const url = `${server.url}/login`;
  await atOnce(SIGN_INS, async (at) => {
    const email = emailOf((round * SIGN_INS + at) % users);
    const body = JSON.stringify({ email, password });
    const response = await fetch(url, { ...JSON_POST, body });
    if (response.status !== 200) throw new Error(`${url} answers ${response.status}`);
    cookies.push(response.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '');
    await response.arrayBuffer();
  });
  return SIGN_INS;
}

const JSON_POST = { method: 'POST', headers: { 'content-type': 'application/json' } };

async function signOutAll({ server }: CostPlace, cookies: string[]): Promise<number> {
  await atOnce(cookies.length, async (at) => {
    const headers = { cookie: cookies[at] ?? '' };
    const { status } = await fetch(`${server.url}/logout`, { method: 'POST', headers });
    if (status !== 204) throw new Error(`a sign-out is answered ${status}`);
  });
  return cookies.length;
}

/** Runs tasks with these numbers, four at a time. */
async function atOnce(count: number, task: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await task(next - 1);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

function medianOf(costs: RequestCost[]): RequestCost {
  const of = (name: keyof RequestCost) => round(median(costs.map((cost) => cost[name])));
  return {
    serverMicros: of('serverMicros'),
    postgresMicros: of('postgresMicros'),
    redisMicros: of('redisMicros'),
    redisCommands: of('redisCommands'),
    walBytes: of('walBytes'),
  };
}

function withoutHashing(requests: Record<RequestKind, RequestCost>): Record<RequestKind, RequestCost> {
  const serverMicros = Math.max(0, round(requests.signIn.serverMicros - measureHash()));
  return { ...requests, signIn: { ...requests.signIn, serverMicros } };
}

/** CPU time of one password check, in microseconds: the median of 20. */
export function measureHash(): number {
  const once = () => {
    const before = process.cpuUsage();
    hashSync('correct horse battery staple', { memoryCost: 19_456, timeCost: 2, parallelism: 1 });
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  return round(median(Array.from({ length: 20 }, once)));
}

/**
 * How different the CPU times of one kind of request are: as if they were log-normal, from the median and the 99th of a
 * hundred. Of a server of its own, one request at a time.
 */
export async function measureSigma({ startServer, visitor }: CostPlace): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-spread-'));
  try {
    const file = join(folder, 'times.json');
    const server = await startServer(
      { ...BUSY_MACHINE, CPU_SPREAD_FILE: file },
      { flags: ['--import', './bench/cpu-spread.ts'] },
    );
    const request = mintRequest(server.url, visitor);
    await warmUp({ request }, 1);
    await load(request, 1, SECONDS);
    await server.stop();
    const times = (JSON.parse(readFileSync(file, 'utf8')) as number[])
      .slice(-SPREAD_OF)
      .sort((a, b) => a - b);
    const quantile = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
    return round(Math.log(quantile(0.99) / quantile(0.5)) / NORMAL_99, 3);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * What PostgreSQL spends on a session that is written as used, in the batches of the server. The sessions lie all over the
 * table, and a checkpoint was just made, so nearly every page is written to the log as a whole: the dearest case, and with
 * many sessions the usual one.
 */
export async function measureTouch(place: CostPlace): Promise<Costs['touch']> {
  const { sql, server, live } = place;
  const store = createSessionStore(loadPostgresDriver().drizzle(sql));
  const some = live.filter((_, at) => at % Math.ceil(live.length / TOUCHED) === 0);
  const literal = await idsOf(sql, some);
  const ids = literal.slice(1, -1).split(',');
  const touchAll = async () => {
    for (let at = 0; at < ids.length; at += 500) await store.touch(ids.slice(at, at + 500), 14 * 86_400_000);
    return ids.length;
  };
  const touchFresh = async () => {
    await sql`update sessions set last_seen_at = now() - interval '2 minutes' where id in (select unnest(${literal}::text::uuid[]))`;
    await sql`checkpoint`;
    return meter(place, server, touchAll);
  };
  const written = await touchFresh();
  const checked = await meter(place, server, touchAll);
  await sql`alter system set wal_compression = lz4`;
  await sql`select pg_reload_conf()`;
  const compressed = await touchFresh();
  await sql`alter system reset wal_compression`;
  await sql`select pg_reload_conf()`;
  return {
    postgresMicros: round(written.postgresMicros),
    walBytes: round(written.walBytes),
    walBytesCompressed: round(compressed.walBytes),
    checkMicros: round(checked.postgresMicros),
  };
}

/** What a replica costs that has nothing to do: it looks at its keys, its messages and its parts. */
export async function measureIdle(place: CostPlace): Promise<Costs['idle']> {
  const seconds = 10;
  const wait = async () => {
    await delay(seconds * 1000);
    return seconds;
  };
  const { serverMicros, postgresMicros, redisMicros } = await meter(place, place.server, wait);
  return {
    serverMicros: round(serverMicros),
    postgresMicros: round(postgresMicros),
    redisMicros: round(redisMicros),
  };
}

/** Pages that PostgreSQL reads for one session, by its own account. */
export async function measureMissBuffers({ sql, live }: CostPlace): Promise<number> {
  const token = hashGenerateToken(generateTokenOf(live[0] ?? 0)).toString('hex');
  const [row] = await sql.unsafe(
    `explain (analyze, buffers, format json)
     select * from sessions join users on users.id = sessions.user_id
      where generate_token = any((select '{"\\\\x${token}"}'::text::bytea[])::bytea[])`,
  );
  const plan = row?.['QUERY PLAN'][0].Plan;
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
}

/** Connections that the server has open while it is asked for sessions that the cache does not know. */
export async function measureConnections(place: CostPlace): Promise<Costs['connections']> {
  const { sql, cache, server, visitor } = place;
  await forgetAll(place);
  const request = { ...mintRequest(server.url, visitor), nextHeaders: cookiesOf(place) };
  await load(request, 50, SECONDS);
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
     where application_name = 'doorward' and backend_type = 'client backend'`;
  const clients = String(await cache.client('LIST'))
    .trim()
    .split('\n').length;
  // Without our own.
  return { postgres: row?.count ?? Number.NaN, redis: clients - 1 };
}

/** `POST /token` at a steady rate, from a session that the cache knows: the run with the smallest p99. */
export async function measureSteady(
  { server, visitor }: CostPlace,
  perSecond: number,
  seconds: number,
): Promise<Costs['steady'][number]> {
  const runs = [];
  for (let run = 0; run < STEADY_RUNS; run += 1)
    runs.push(await sendSteadily(mintRequest(server.url, visitor), perSecond, seconds));
  const best = runs.reduce((one, other) => (other.p99 < one.p99 ? other : one));
  return { perSecond, seconds, p50Ms: round(best.p50, 3), p99Ms: round(best.p99, 3) };
}

/** Bytes of rows, of keys in Redis with all that Redis needs for them, and of a replica. */
export async function measureBytes(place: CostPlace): Promise<Costs['bytes']> {
  const { sizes, server, cache } = place;
  const perRow = (table: string) => {
    const { heap, indexes, rows } = sizes.find((size) => size.table === table) ?? {
      heap: 0,
      indexes: {},
      rows: 1,
    };
    const all = Object.values(indexes).reduce((sum, bytes) => sum + bytes, 0);
    return { heap: round(heap / rows), indexes: round(all / rows) };
  };
  const [session, user] = [perRow('sessions'), perRow('users')];
  await forgetAll(place);
  const before = await usedMemory(place);
  const request = { ...mintRequest(server.url, place.visitor), nextHeaders: cookiesOf(place) };
  await load(request, CONNECTIONS, SECONDS);
  const entries = await cache.dbsize();
  const redisEntry = round(((await usedMemory(place)) - before) / entries);
  return {
    ...{ sessionHeap: session.heap, sessionIndexes: session.indexes },
    ...{ userHeap: user.heap, userIndexes: user.indexes },
    redisEntry,
    redisTombstone: await bytesOfKeys(place, 'session:', `tombstone:${'0'.repeat(36)}`),
    redisCounter: await bytesOfKeys(place, 'limit:', '12'),
    replicaResident: round(server.residentMb() * 1e6),
  };
}

async function usedMemory({ cache }: CostPlace): Promise<number> {
  const [, bytes] = /used_memory:(\d+)/.exec(await cache.info('memory')) ?? [];
  return Number(bytes);
}

/** What 20,000 keys of that form and value take, one by one. */
async function bytesOfKeys(place: CostPlace, form: string, value: string): Promise<number> {
  const { cache, emptyCache } = place;
  const count = 20_000;
  await emptyCache();
  const before = await usedMemory(place);
  for (let at = 0; at < count; at += 1000) {
    const batch = cache.pipeline();
    for (let key = at; key < at + 1000; key += 1)
      batch.set(`doorward:${form}${String(key).padStart(64, '0')}`, value, 'PX', 60_000);
    await batch.exec();
  }
  return round(((await usedMemory(place)) - before) / count);
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
