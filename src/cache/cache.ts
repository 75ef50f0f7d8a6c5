/**
 * A small shared key-value store that may lose anything at any time. Every call touches one key.
 * All calls reject when the store cannot be reached in time; a call that rejects may still have taken effect.
 */
export type Cache = {
  get(key: string): Promise<string | null>;
  put(key: string, value: string, ttlMs: number): Promise<void>;
  /** Writes only if the key is empty. Returns whether it wrote. */
  putIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean>;
  /** Compare-and-set: writes only if the value is exactly `expected`. Returns whether it wrote. */
  replace(key: string, expected: string, value: string, ttlMs: number): Promise<boolean>;
  /** Empties the key. A cache that is too full to write still does this. */
  remove(key: string): Promise<void>;
  /** Adds one to a counter, which starts at 1 and expires `windowMs` after its start. */
  increment(key: string, windowMs: number): Promise<{ count: number; ttlMs: number }>;
  ping(): Promise<void>;
};
