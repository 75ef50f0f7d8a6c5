import type { RedisTarget } from '../config/redis-target.ts';
import { createCircuitBreaker } from '../core/circuit-breaker.ts';
import { COMMAND_TIMEOUT_MS } from './batched-redis.ts';
import type { Cache } from './cache.ts';
import { connectRedis } from './redis-client.ts';

const FAILURES_TO_OPEN = 5;
const PROBE_EVERY_MS = 250;

const REPLACE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`;

const INCREMENT = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return { count, redis.call('PTTL', KEYS[1]) }`;

type Scripts = {
  replaceValue(key: string, expected: string, value: string, ttlMs: number): Promise<number>;
  incrementInWindow(key: string, windowMs: number): Promise<[number, number]>;
};

export type RedisCache = Cache & {
  /** Sends a message to all who listen on the channel, or fails at once. Not through the breaker: nobody waits for it. */
  publish(channel: string, text: string): Promise<unknown>;
  close(): void;
};

export type RedisCacheEvents = {
  /** Called on connection errors. They do not contain the URL, which may hold a password; the target does. */
  onError(error: Error, target: RedisTarget): void;
  /** Called when requests stop waiting for Redis, and when they use it again. */
  onBreak(isOpen: boolean): void;
};

/**
 * The cache of many replicas. Only single-key commands, so that Redis Cluster works.
 *
 * After five failures in a row (half a second at most, if requests come one after the other) no request waits for Redis
 * until a ping is answered, which is sent every quarter of a second.
 * @param commandTimeoutMs a test that is not about time may pass a longer one
 */
export function createRedisCache(
  target: RedisTarget,
  keyPrefix: string,
  events: RedisCacheEvents,
  commandTimeoutMs = COMMAND_TIMEOUT_MS,
): RedisCache {
  const scripts = {
    replaceValue: { numberOfKeys: 1, lua: REPLACE },
    incrementInWindow: { numberOfKeys: 1, lua: INCREMENT },
  };
  const redis = connectRedis<Scripts>(target, scripts, commandTimeoutMs);
  redis.on('error', (error) => events.onError(error, target));
  const breaker = createCircuitBreaker({
    part: 'redis',
    threshold: FAILURES_TO_OPEN,
    // A server that is full refuses to write and still answers reads.
    isFailure: (error) => !(error instanceof Error && error.message.startsWith('OOM')),
    probe: () => redis.ping(),
    probeEveryMs: PROBE_EVERY_MS,
    onChange: events.onBreak,
  });

  // ioredis' own `keyPrefix` looks up in a table which arguments are keys, for every command.
  const named = (key: string) => keyPrefix + key;

  return {
    get: (key) => breaker.run(() => redis.get(named(key))),
    put: async (key, value, ttlMs) => {
      await breaker.run(() => redis.set(named(key), value, 'PX', ttlMs));
    },
    putIfAbsent: (key, value, ttlMs) =>
      breaker.run(async () => (await redis.set(named(key), value, 'PX', ttlMs, 'NX')) === 'OK'),
    replace: (key, expected, value, ttlMs) =>
      breaker.run(async () => (await redis.replaceValue(named(key), expected, value, ttlMs)) === 1),
    remove: async (key) => {
      await breaker.run(() => redis.del(named(key)));
    },
    increment: (key, windowMs) =>
      breaker.run(async () => {
        const [count, ttlMs] = await redis.incrementInWindow(named(key), windowMs);
        return { count, ttlMs };
      }),
    // Not through the breaker: a health check must show the state of Redis now.
    ping: async () => {
      await redis.ping();
    },
    publish: (channel, text) => redis.publish(channel, text),
    close: () => {
      breaker.close();
      redis.disconnect();
    },
  };
}
