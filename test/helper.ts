import { hash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import type { Adapters } from '../src/adapters/adapters.ts';
import { IGNORE_EVENTS, openAdapters } from '../src/adapters/open-adapters.ts';
import { buildApp } from '../src/app.ts';
import { createMemoryCache } from '../src/cache/memory-cache.ts';
import { NO_HINTS } from '../src/cache/redis-hints.ts';
import { loadConfig } from '../src/config/config.ts';
import { loadPGliteDriver } from '../src/db/drizzle.ts';
import * as schema from '../src/db/schema.ts';
import type { Lifecycle } from '../src/http/health-routes.ts';
import { createLogger } from '../src/http/logging.ts';
import { createTestDatabase, createTestRedis, moveDatabaseTime } from './support/database.ts';
import { openMigratedPGlite } from './support/memory-database.ts';
import { createTcpProxy } from './support/tcp-proxy.ts';

const { drizzle } = loadPGliteDriver();

type Teardown = { teardown(undo: () => unknown): void };

type Settings = Record<string, string>;

/** What several replicas share, as settings for `build` or for the environment of a process. */
export type Place = {
  DATABASE_URL: string;
  REDIS_URL: string;
  REDIS_KEY_PREFIX: string;
  KEY_ENCRYPTION_KEY: string;
};

export type TestApp = {
  app: FastifyInstance;
  lifecycle: Lifecycle;
  /** What the app stands on, for tests that act beside it. */
  adapters: Adapters;
  /** Moves the time of the app and of its database together. */
  advance(ms: number): Promise<void>;
  /** Everything logged so far. */
  log(): string;
};

/** The page that may call with the cookie: the default of APP_ORIGINS. */
export const appOrigin = 'http://localhost:3000';

/** Settings that make tests quick: the cheapest hash allowed, and no limits. */
export const quickSettings = {
  NODE_ENV: 'test',
  LOG_LEVEL: 'trace',
  PASSWORD_HASH_MEMORY_KIB: '7168',
  PASSWORD_HASH_ITERATIONS: '5',
  PASSWORD_HASH_THREADS: '1',
  CREDENTIAL_RATE_LIMIT: '0',
  // A test machine may stall for seconds: that is not what most tests are about.
  MAX_EVENT_LOOP_DELAY: '0s',
};

/** A fresh PostgreSQL database and a key prefix in Redis, both removed when the test ends. */
export async function createPlace(t: Teardown): Promise<Place> {
  const [database, redis] = await Promise.all([createTestDatabase(t), createTestRedis(t)]);
  return {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: redis.keyPrefix,
    KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  };
}

/** One replica on PostgreSQL and Redis; on a new place unless one is given. */
export async function build(t: Teardown, settings: Settings = {}, place?: Place): Promise<TestApp> {
  const at = place ?? (await createPlace(t));
  const config = loadConfig({ ...quickSettings, ...at, ...settings });
  const time = createTime((ms) => moveDatabaseTime(at.DATABASE_URL, ms));
  return assemble(t, config, await openAdapters(config, time.clock, IGNORE_EVENTS), time);
}

/** The same server on the embedded adapters, in memory. */
export async function buildEmbedded(t: Teardown, settings: Settings = {}): Promise<TestApp> {
  const config = loadConfig({ ...quickSettings, DATA_DIR: makeFolder(t), ...settings });
  const client = await openMigratedPGlite();
  const database = drizzle(client, { schema });
  const time = createTime((ms) => moveDatabaseTime(client, ms));
  const adapters: Adapters = {
    database,
    cache: createMemoryCache(time.clock),
    hints: NO_HINTS,
    pingDatabase: () => client.query('select 1'),
    renewDatabase: () => {},
    prepare: async () => {},
    checkUse: async () => {},
    keyEncryptionKey: randomBytes(32),
    commandSocket: null,
    location: 'memory',
    lastMigration: async () => 0,
    migrate: async () => {},
    backup: null,
    close: () => client.close(),
  };
  return assemble(t, config, adapters, time);
}

/** For what an embedded server writes beside its database, such as mails. */
function makeFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Real time, and a way to jump forward. */
function createTime(moveDatabase: (ms: number) => Promise<void>) {
  let shiftMs = 0;
  return {
    clock: () => Date.now() + shiftMs,
    advance: async (ms: number) => {
      shiftMs += ms;
      await moveDatabase(ms);
    },
  };
}

async function assemble(
  t: Teardown,
  config: ReturnType<typeof loadConfig>,
  adapters: Adapters,
  { clock, advance }: ReturnType<typeof createTime>,
): Promise<TestApp> {
  const lines: string[] = [];
  const logger = createLogger(config.LOG_LEVEL, false, { write: (line) => void lines.push(line) });
  const lifecycle: Lifecycle = { state: 'running' };
  t.teardown(() => adapters.close());
  const app = await buildApp(config, adapters, { clock, lifecycle, logger });
  t.teardown(() => app.close());
  const jump = async (ms: number) => {
    await advance(ms);
    await keysConfirmed(app);
  };
  return { app, lifecycle, adapters, advance: jump, log: () => lines.join('') };
}

/**
 * After a jump of hours a replica does not sign before it has read its keys again, at most two seconds later. If the
 * database is down, that never happens, and the test goes on without it.
 */
async function keysConfirmed(app: FastifyInstance): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    const { headers } = await app.inject('/.well-known/jwks.json');
    if (headers['cache-control'] !== 'public, max-age=0') return;
    await delay(10);
  }
}

/** Runs one statement directly on a test's database. */
export async function runSql<Row extends object>(databaseUrl: string, statement: string): Promise<Row[]> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  try {
    return [...(await sql.unsafe<Row[]>(statement))];
  } finally {
    await sql.end();
  }
}

export type Credentials = { email: string; password: string };

/** A new address and a new password. */
export function newCredentials(): Credentials {
  return {
    email: `${randomBytes(6).toString('hex')}@example.com`,
    password: randomBytes(18).toString('base64url'),
  };
}

/** Signs up and returns the value of the session cookie, the credentials, and a `cookie` header to send. */
export async function signUp(app: FastifyInstance, credentials = newCredentials()) {
  const response = await app.inject({ method: 'POST', url: '/signup', payload: credentials });
  if (response.statusCode !== 201) throw new Error(`sign-up failed: ${response.body}`);
  const { value } = cookieOf(response);
  return { ...credentials, token: value, cookie: cookieHeader(value), user: response.json().user };
}

/** Removes a session from the cache, as if its entry had been evicted. @param token the value of its cookie */
export async function forget({ REDIS_URL, REDIS_KEY_PREFIX }: Place, token: string): Promise<void> {
  const redis = new Redis(REDIS_URL);
  try {
    await redis.del(`${REDIS_KEY_PREFIX}session:${hash('sha256', token)}`);
  } finally {
    redis.disconnect();
  }
}

type Injected = Pick<LightMyRequestResponse, 'cookies'>;

/** The one cookie that a response sets, beside the one by which the browser is known again. */
export function cookieOf(response: Injected) {
  const [cookie, ...others] = response.cookies.filter(({ name }) => !name.endsWith('g_device'));
  if (cookie === undefined || others.length > 0) throw new Error('not exactly one cookie');
  return cookie;
}

/** What a browser would send in the default COOKIE_MODE. */
export function cookieHeader(token: string): string {
  return `__Host-g_token=${token}`;
}

/** The stable code of a problem document; throws for any other response. */
export function codeOf(response: LightMyRequestResponse): string {
  const type = response.headers['content-type'];
  if (type !== 'application/problem+json; charset=utf-8') throw new Error(`not a problem: ${type}`);
  const problem = response.json();
  if (problem.status !== response.statusCode) throw new Error('the status is told in two ways');
  return problem.code;
}

/** A connection to a server that a test can cut, freeze and mend. */
export type Wire = { url: string; cut(): void; freeze(): void; mend(): void };

/** Puts a proxy in front of the server of `url`. Cut: connections end at once. Frozen: nothing is answered. */
export async function createWire(t: Teardown, url: string): Promise<Wire> {
  const proxy = await createTcpProxy(t, url);
  return {
    url: proxy.url,
    cut: proxy.reset,
    freeze: () => proxy.blackhole(),
    mend: () => {
      // What was sent while it was frozen is lost, and so are the connections.
      proxy.reset();
      proxy.mend();
    },
  };
}
