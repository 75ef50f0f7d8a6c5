import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import postgres, { type Sql } from 'postgres';
import { loadConfig } from '../src/config/config.ts';
import { runCommand } from '../src/operator/run-command.ts';
import { startPostgres, startRedis, takeChildrenAlong } from '../test/support/servers.ts';
import { type MeasuredProcess, type StartOptions, startMeasured } from './processes.ts';
import { insertSeeded } from './seed-rows.ts';

/** The audience and the client of a benchmark. */
const AUDIENCE = 'api';
const CLIENT_ID = 'bench';

export type Place = Awaited<ReturnType<typeof createPlace>>;

/** The settings that are not the default. They are printed, and written next to the figures. */
export const SETTINGS = {
  NODE_ENV: 'production',
  // All requests come from one address.
  CREDENTIAL_RATE_LIMIT: '0',
};

/**
 * A private, empty PostgreSQL and Redis, and any number of our servers on them.
 * @param postgresOptions of its command line
 */
export async function createPlace(...postgresOptions: string[]) {
  takeChildrenAlong();
  const [database, redis] = await Promise.all([startPostgres(...postgresOptions), startRedis()]);
  const sql = postgres(database.url, { max: 2, onnotice: () => {} });
  const cache = new Redis(redis.url);
  const started: MeasuredProcess[] = [];
  const settings = {
    ...SETTINGS,
    HOST: '127.0.0.1',
    PORT: '0',
    PUBLIC_URL: 'http://localhost:3000',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    DRAIN_DELAY: '0s',
  };

  return {
    settings,
    sql,
    cache,
    /** Of the two servers, for what the system knows about them. */
    pids: { postgres: database.pid, redis: redis.pid },
    /** Starts a server. @param more settings that differ from the usual ones */
    async startServer(
      more: Record<string, string> = {},
      options: StartOptions = {},
    ): Promise<MeasuredProcess> {
      return keep(await startMeasured('src/server.ts', { ...settings, ...more }, options));
    },
    async startFloors(): Promise<MeasuredProcess> {
      return keep(await startMeasured('bench/floors.ts', { REDIS_URL: `${redis.url}/1` }));
    },
    /** Registers a service client. @returns its Authorization header */
    async addClient(): Promise<string> {
      const wish = { id: CLIENT_ID, scopes: [], audiences: [AUDIENCE] };
      const { client_secret } = await runCommand(loadConfig(settings), 'clients.add', wish);
      return `Basic ${Buffer.from(`${CLIENT_ID}:${client_secret}`).toString('base64')}`;
    },
    /** The cache of our servers; the floors have another. */
    emptyCache: () => cache.flushdb(),
    async close(): Promise<void> {
      await Promise.all(started.map((server) => server.stop()));
      cache.disconnect();
      await sql.end({ timeout: 1 });
      await Promise.all([database.stop(), redis.stop()]);
    },
  };

  function keep(server: MeasuredProcess): MeasuredProcess {
    started.push(server);
    return server;
  }
}

/**
 * Puts sessions straight into the table, each of a user of its own, all last used an hour ago.
 * @param from number of the first one, and of its user
 */
export async function storeSessions(sql: Sql, from: number, count: number): Promise<void> {
  const sessionsOf = new Uint8Array(count).fill(1);
  await insertSeeded(sql, {
    firstUser: from,
    firstSession: from,
    sessionsOf,
    passwordHash: 'none',
    ages: 'live',
  });
}
