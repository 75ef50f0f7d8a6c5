import rateLimit, { type FastifyRateLimitStore, type FastifyRateLimitStoreCtor } from '@fastify/rate-limit';
import type { FastifyContextConfig, FastifyInstance } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Cache } from '../cache/cache.ts';
import { channels, tell } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { clientNetwork } from './client-address.ts';

const WINDOW_MS = 60_000;

const MAX_NETWORKS = 50_000;

/**
 * Requests for the feed in a window. A service asks once or twice a second, or waits, and is answered up to four times a
 * second when much happens: hundreds of services may be behind one address.
 */
const FEED_REQUESTS = 60_000;

/**
 * Requests for `/admin` in a window. A script may go through many accounts, and each request asks the database before it
 * knows who is calling.
 */
const ADMIN_REQUESTS = 1_200;

type Window = { count: number; endsAt: number };
type Count = { current: number; ttl: number };

/**
 * Counts in the shared cache and in this process, and the larger count holds. The plugin by itself would answer 500 to
 * every request while the cache cannot be reached, or limit none; a count that only starts then would let a flood, which
 * makes the process miss the deadline of Redis by itself, pass twice.
 */
function limitStore(
  shared: Cache,
  now: Clock,
  nameOf: (network: string) => string,
): FastifyRateLimitStoreCtor {
  const windows = new LRUCache<string, Window>({ max: MAX_NETWORKS });

  async function count(key: string, windowMs: number): Promise<Count> {
    const window = openWindow(key, windowMs);
    window.count += 1;
    const own = { current: window.count, ttl: window.endsAt - now() };
    const theirs = await shared.increment(key, windowMs).catch(() => null);
    if (theirs === null || theirs.count < own.current) return own;
    // From here this process can go on alone, with what other replicas have counted.
    if (theirs.count >= window.count) {
      window.count = theirs.count;
      window.endsAt = now() + theirs.ttlMs;
    }
    return { current: theirs.count, ttl: theirs.ttlMs };
  }

  function openWindow(key: string, windowMs: number): Window {
    const open = windows.get(key);
    if (open !== undefined && now() < open.endsAt) return open;
    const window = { count: 0, endsAt: now() + windowMs };
    windows.set(key, window);
    return window;
  }

  return class LimitStore implements FastifyRateLimitStore {
    incr(
      network: string,
      callback: (error: Error | null, result?: Count) => void,
      timeWindow = WINDOW_MS,
    ): void {
      void count(`limit:${nameOf(network)}`, timeWindow).then((result) => callback(null, result));
    }

    child(): LimitStore {
      return this;
    }
  };
}

function limitOf({ rateLimit }: FastifyContextConfig): 'credentials' | 'revocations' | 'admin' {
  if (rateLimit === feedLimit.rateLimit) return 'revocations';
  return rateLimit === adminLimit.rateLimit ? 'admin' : 'credentials';
}

/**
 * Prepares per-address limits; a route takes one with `config: { rateLimit }`.
 * @param now of this process alone
 * @param nameOf hides a network from those who can read the cache
 */
export async function addRateLimits(
  app: FastifyInstance,
  shared: Cache,
  now: Clock,
  nameOf: (network: string) => string,
): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    keyGenerator: clientNetwork,
    store: limitStore(shared, now, nameOf),
    errorResponseBuilder: ({ routeOptions }, { ttl }) => {
      tell(channels.limitReached, { limit: limitOf(routeOptions.config) });
      return new AppError('rate_limited', { retryAfterSeconds: Math.max(1, Math.ceil(ttl / 1000)) });
    },
  });
}

/** The limit of the routes that take a password: `perMinute` requests per address, all together. 0 means no limit. */
export function credentialLimit(perMinute: number): FastifyContextConfig {
  if (perMinute === 0) return {};
  return { rateLimit: { max: perMinute, timeWindow: WINDOW_MS, groupId: ':credentials' } };
}

/** The limit of the feed of revocations, per network. A stream counts as one request. */
export const feedLimit: FastifyContextConfig = {
  rateLimit: { max: FEED_REQUESTS, timeWindow: WINDOW_MS, groupId: ':revocations' },
};

/** The limit of the routes for operators, per network. */
export const adminLimit: FastifyContextConfig = {
  rateLimit: { max: ADMIN_REQUESTS, timeWindow: WINDOW_MS, groupId: ':admin' },
};
