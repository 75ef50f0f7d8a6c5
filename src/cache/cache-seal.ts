import { createHmac, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { deriveKey, openText, sealText } from '../core/sealing.ts';

const DAY_MS = 86_400_000;
/** Yesterday, today and tomorrow. */
const DAYS_KEPT = 3;

/** What an entry is bound to besides the deployment: what it is about, such as `session`, and of which one. */
export type Binding = { kind: string; id: string };

export type CacheSeal = ReturnType<typeof createCacheSeal>;

type SealParts = {
  /** `PUBLIC_URL`: an entry of another deployment does not open, even if both have the same keys. */
  issuer: string;
  /** The key-encryption key, 32 bytes. */
  keyEncryptionKey: Buffer;
  /** The one before: what replicas seal that still have it can be read. */
  previousKeyEncryptionKey?: Buffer | undefined;
  now: Clock;
};

/**
 * Encrypts and authenticates what goes into the cache: AES-256-GCM, under keys derived from the key-encryption key
 * (HKDF, RFC 5869). The issuer, the kind and the id are associated data, so an entry that was forged, changed, moved to
 * another key or written by another deployment does not open. One that was true may be put back by an attacker: its
 * reader must look at its age.
 *
 * Each day has a key of its own: with random nonces, one key is safe for 2^32 entries only.
 */
export function createCacheSeal({ issuer, keyEncryptionKey, previousKeyEncryptionKey, now }: SealParts) {
  const keysOfDay = new LRUCache<number, KeyObject[]>({ max: DAYS_KEPT });
  const associated = ({ kind, id }: Binding) => Buffer.from(`${issuer} ${kind} ${id}`);
  const today = () => Math.floor(now() / DAY_MS);

  return {
    /** @returns the day and, in base64, the nonce (12 bytes), the tag (16 bytes) and the ciphertext */
    seal(binding: Binding, text: string): string {
      const day = today();
      const [key] = keysOf(day);
      return `${day}.${sealText(key as KeyObject, associated(binding), text)}`;
    },

    /** The text that was sealed for this binding yesterday or today; null for anything else. */
    open(binding: Binding, sealed: string): string | null {
      const dot = sealed.indexOf('.');
      const day = Number(sealed.slice(0, dot));
      // A clock ahead of ours may have begun the next day.
      if (dot < 0 || !(Math.abs(today() - day) <= 1)) return null;
      for (const key of keysOf(day)) {
        const text = openText(key, associated(binding), sealed.slice(dot + 1));
        if (text !== null) return text;
      }
      return null;
    },
  };

  /** The current key first. */
  function keysOf(day: number): KeyObject[] {
    const known = keysOfDay.get(day);
    if (known) return known;
    const secrets = [keyEncryptionKey, ...(previousKeyEncryptionKey ? [previousKeyEncryptionKey] : [])];
    const keys = secrets.map((secret) => deriveKey(secret, `doorward cache entries of day ${day}`));
    keysOfDay.set(day, keys);
    return keys;
  }
}

/**
 * Names for what must not be readable in the cache, such as a network: HMAC-SHA-256, so that trying all networks does not
 * help. Two deployments give different names.
 *
 * While the key-encryption key is being replaced, old and new replicas give different names as well. So it is for
 * counters, not for entries that all replicas must find.
 */
export function createPseudonyms(issuer: string, keyEncryptionKey: Buffer): (plain: string) => string {
  const key = deriveKey(keyEncryptionKey, `doorward cache names of ${issuer}`);
  return (plain) => createHmac('sha256', key).update(plain).digest('base64url');
}
