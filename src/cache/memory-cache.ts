import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { Cache } from './cache.ts';

type Slot = { value: string; expiresAt: number };

/**
 * The cache of a single process: a bounded map that drops the least recently used entries first.
 * The end of an entry is by hand: with the library's `ttl` it comes 1 ms late, and a `ttl` or a clock of 0 means never.
 * @param clock tests pass one that they move
 * @param maxEntries about 1 KiB each at most
 */
export function createMemoryCache(clock: Clock, maxEntries = 50_000): Cache {
  const slots = new LRUCache<string, Slot>({ max: maxEntries });

  const live = (key: string): Slot | undefined => {
    const slot = slots.get(key);
    return slot !== undefined && slot.expiresAt > clock() ? slot : undefined;
  };
  const write = (key: string, value: string, ttlMs: number): void => {
    slots.set(key, { value, expiresAt: clock() + ttlMs });
  };
  const writeIf = (condition: boolean, key: string, value: string, ttlMs: number): boolean => {
    if (condition) write(key, value, ttlMs);
    return condition;
  };

  return {
    get: async (key) => live(key)?.value ?? null,
    put: async (key, value, ttlMs) => write(key, value, ttlMs),
    putIfAbsent: async (key, value, ttlMs) => writeIf(live(key) === undefined, key, value, ttlMs),
    replace: async (key, expected, value, ttlMs) => writeIf(live(key)?.value === expected, key, value, ttlMs),
    remove: async (key) => void slots.delete(key),
    increment: async (key, windowMs) => {
      const slot = live(key) ?? { value: '0', expiresAt: clock() + windowMs };
      const count = Number(slot.value) + 1;
      slots.set(key, { value: String(count), expiresAt: slot.expiresAt });
      return { count, ttlMs: slot.expiresAt - clock() };
    },
    ping: async () => {},
  };
}
