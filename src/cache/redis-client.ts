import { Cluster, type Redis } from 'ioredis';
import type { RedisTarget } from '../config/redis-target.ts';
import { BatchedRedis } from './batched-redis.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const MAX_RECONNECT_DELAY_MS = 1_000;
/** A connection that owes an answer for this long is dropped: after a network failure it would never end by itself. */
const SOCKET_TIMEOUT_MS = 1_000;

/**
 * Makes the ioredis client of a target, with a limit on every wait: by default ioredis waits for ever on a hung server.
 * A command fails after `commandTimeoutMs`, and at once while there is no connection. The client reconnects by itself.
 */
export function connectRedis<Scripts>(
  target: RedisTarget,
  scripts: Record<string, { lua: string; numberOfKeys: number }>,
  commandTimeoutMs: number,
): (Redis | Cluster) & Scripts {
  const backOff = (attempt: number) => Math.min(attempt * 50, MAX_RECONNECT_DELAY_MS);
  const bounds = {
    commandTimeout: commandTimeoutMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // ioredis does not catch the failure of a subscription that it renews by itself, and that would end the process. Whoever
    // listens subscribes anew when the client is ready.
    autoResubscribe: false,
    // After a failover the old master may go on as a replica, with its connections still open.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const single = { ...bounds, scripts, enableOfflineQueue: false, retryStrategy: backOff };
  return connect() as (Redis | Cluster) & Scripts;

  function connect(): Redis | Cluster {
    if (target.kind === 'plain') return new BatchedRedis(target.url, single);
    const { nodes, credentials, name, db } = target;
    if (target.kind === 'sentinel') {
      const sentinel = {
        sentinels: nodes,
        name,
        sentinelRetryStrategy: backOff,
        // One that hangs is passed over for the next one.
        sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
      };
      return new BatchedRedis({ ...single, ...credentials, ...sentinel, db });
    }
    return new Cluster(nodes, {
      scripts,
      enableOfflineQueue: false,
      clusterRetryStrategy: backOff,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      // Follows a slot that has moved. Longer chains mean a cluster in trouble, and no request may wait for that.
      maxRedirections: 2,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      retryDelayOnTryAgain: 0,
      redisOptions: { ...bounds, ...credentials },
    });
  }
}
