import type { RequestCost } from './cost-table.ts';
import { cpuMicrosOf } from './cpu-time.ts';
import type { Place } from './place.ts';
import type { MeasuredProcess } from './processes.ts';

type Meters = RequestCost;

/** What has been spent since the start of the processes. */
async function readMeters({ sql, cache, pids }: Place, server: MeasuredProcess): Promise<Meters> {
  const [position] = await sql<{ bytes: string }[]>`
    select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as bytes`;
  const [, commands] = /total_commands_processed:(\d+)/.exec(await cache.info('stats')) ?? [];
  return {
    serverMicros: cpuMicrosOf(server.pid),
    postgresMicros: cpuMicrosOf(pids.postgres),
    redisMicros: cpuMicrosOf(pids.redis),
    redisCommands: Number(commands),
    walBytes: Number(position?.bytes),
  };
}

/**
 * What some work costs.
 * @param work returns how many requests it has sent, or how many seconds have passed
 * @returns for each of them
 */
export async function meter(
  place: Place,
  server: MeasuredProcess,
  work: () => Promise<number>,
): Promise<RequestCost> {
  const before = await readMeters(place, server);
  const count = await work();
  const after = await readMeters(place, server);
  const spent = (name: keyof Meters, own = 0) => (after[name] - before[name] - own) / count;
  return {
    serverMicros: spent('serverMicros'),
    postgresMicros: spent('postgresMicros'),
    redisMicros: spent('redisMicros'),
    // The question itself is one.
    redisCommands: spent('redisCommands', 1),
    walBytes: spent('walBytes'),
  };
}
