import rateLimit, { type FastifyRateLimitStore, type FastifyRateLimitStoreCtor } from '@fastify/rate-limit';
import type { FastifyContextConfig, FastifyInstance } from 'fastify';
import type { Cache } from '../cache/cache.ts';
import { AppError } from '../core/errors.ts';
import { clientNetwork } from './client-address.ts';

const WINDOW_MS = 60_000;

type Count = { current: number; ttl: number };

/**
 * Counts in the shared cache, and in this process alone while the cache cannot be reached. The plugin by itself would
 * answer 500 to every request then, or limit none.
 */
function limitStore(
  shared: Cache,
  local: Cache,
  nameOf: (network: string) => string,
): FastifyRateLimitStoreCtor {
  return class LimitStore implements FastifyRateLimitStore {
    incr(
      network: string,
      callback: (error: Error | null, result?: Count) => void,
      timeWindow = WINDOW_MS,
    ): void {
      const key = `limit:${nameOf(network)}`;
      shared
        .increment(key, timeWindow)
        .catch(() => local.increment(key, timeWindow))
        .then(({ count, ttlMs }) => callback(null, { current: count, ttl: ttlMs }), callback);
    }

    child(): LimitStore {
      return this;
    }
  };
}

/**
 * Prepares per-address limits; a route takes one with `config: { rateLimit }`.
 * @param nameOf hides a network from those who can read the cache
 */
export async function addRateLimits(
  app: FastifyInstance,
  shared: Cache,
  local: Cache,
  nameOf: (network: string) => string,
): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    keyGenerator: clientNetwork,
    store: limitStore(shared, local, nameOf),
    errorResponseBuilder: (_request, { ttl }) =>
      new AppError('rate_limited', { retryAfterSeconds: Math.max(1, Math.ceil(ttl / 1000)) }),
  });
}

/** The limit of the routes that take a password: `perMinute` requests per address, all together. 0 means no limit. */
export function credentialLimit(perMinute: number): FastifyContextConfig {
  if (perMinute === 0) return {};
  return { rateLimit: { max: perMinute, timeWindow: WINDOW_MS, groupId: ':credentials' } };
}
