import type { KnownKey } from './check-token.ts';
import { clockFault } from './discovery.ts';
import { type FetchedDocument, fetchDocument } from './fetch-document.ts';
import { tell } from './hooks.ts';
import { freshForMs, type KeySet, readKeySet } from './key-set.ts';
import type { SetupFault } from './setup-error.ts';
import { about } from './source.ts';
import { VerifierError } from './verifier-error.ts';
import type { VerifierSettings } from './verifier-settings.ts';

type RemoteKeysParts = {
  /** `steadyNow` measures all ages: with the wall clock, a step back would keep a revoked key in use. */
  settings: VerifierSettings;
  /** Finds the URL of the key set. Called again after a failure: it may have moved. Rejects with SetupFault alone. */
  findJwksUri: () => Promise<string>;
  /** What to do if that URL is not the right one. */
  cure: string;
  algorithms: string[];
  /** For an unknown `kid` the keys are fetched anew, but not more often than this. */
  cooldownMs: number;
  /** The longest that keys count as fresh, whatever `max-age` says. */
  cacheMaxAgeMs: number;
  /** How long keys are still used if they cannot be renewed. */
  staleForMs: number;
};

type Held = { keys: KeySet; etag: string | null; fetchedAt: number; freshForMs: number };

/** After this part of their life keys are renewed in the background, so that a busy service never waits. */
const RENEW_AFTER = 0.8;
/** Keys that expired longer ago are renewed before use: one may have been revoked while no request came. */
const GRACE_MS = 30_000;
const FIRST_BACKOFF_MS = 1000;
const REVOKED_EVERY_MS = 2000;

/**
 * The keys of an issuer, kept and renewed.
 *
 * One fetch at a time. A bad answer never replaces good keys; a good one replaces all of them, so that a revoked key is
 * gone. After a failure the next try waits 1 s, then 2, 4 and so on up to the cool-down.
 */
export function createRemoteKeys(parts: RemoteKeysParts) {
  const { settings, cooldownMs, staleForMs } = parts;
  const { steadyNow, on, warn } = settings;
  let held: Held | null = null;
  let jwksUri: string | null = null;
  let pending: Promise<void> | null = null;
  let attemptedAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let lastError: unknown;

  return {
    /**
     * The key with this `kid`: at once, if it is in memory and need not be renewed.
     * @throws VerifierError `key_unknown`; `keys_unavailable` when the keys cannot be fetched
     */
    get(kid: string): KnownKey | Promise<KnownKey> {
      const known = held && !isDue(held) ? held.keys.get(kid) : undefined;
      return known ?? find(kid);
    },

    /** Fetches the keys if there are none yet. @throws VerifierError `keys_unavailable` */
    async load(): Promise<void> {
      await freshen();
      if (!usable()) throw new VerifierError('keys_unavailable', undefined, lastError);
    },

    /**
     * Fetches the keys anew, in the background, while one of these is among them: it has been revoked, and who answers may
     * not know that yet. To be called again and again. Sooner than after the cool-down, and not too often.
     */
    dropRevoked(kids: string[]): void {
      const isKept = kids.some((kid) => held?.keys.has(kid));
      if (isKept && steadyNow() - attemptedAt >= Math.max(REVOKED_EVERY_MS, backoffMs())) void renew();
    },

    /** Makes sure that there are keys. @throws SetupFault */
    async check(): Promise<void> {
      await freshen();
      if (!usable()) throw lastError;
    },
  };

  async function find(kid: string): Promise<KnownKey> {
    await freshen();
    const current = usable();
    const known = current?.keys.get(kid);
    if (current && known) {
      noteStale(current);
      return known;
    }
    if (steadyNow() - attemptedAt >= cooldownMs || pending) await renew();
    const found = usable()?.keys.get(kid);
    if (found) return found;
    // The keys cannot be fetched, and this may be a new one.
    if (failures > 0) throw new VerifierError('keys_unavailable', undefined, lastError);
    throw new VerifierError('key_unknown');
  }

  function isDue(keys: Held): boolean {
    return steadyNow() - keys.fetchedAt >= keys.freshForMs * RENEW_AFTER;
  }

  function usable(): Held | null {
    return held && steadyNow() - held.fetchedAt < held.freshForMs + staleForMs ? held : null;
  }

  /** Renews keys that are due. Waits for that only if there are no keys, or if they expired too long ago. */
  async function freshen(): Promise<void> {
    const current = usable();
    if (current && !isDue(current)) return;
    if (!pending && steadyNow() - attemptedAt < backoffMs()) return;
    const renewed = renew();
    if (!current || (failures === 0 && isLongDue(current))) await renewed;
  }

  function isLongDue(keys: Held): boolean {
    return steadyNow() - keys.fetchedAt > keys.freshForMs + GRACE_MS;
  }

  function backoffMs(): number {
    return failures === 0 ? 0 : Math.min(cooldownMs, FIRST_BACKOFF_MS * 2 ** (failures - 1));
  }

  function noteStale({ fetchedAt, freshForMs: lifeMs }: Held): void {
    const ageMs = steadyNow() - fetchedAt;
    if (failures > 0 && ageMs >= lifeMs) tell(on.stale, ageMs);
  }

  /** Never rejects: the caller looks at the held keys afterwards. */
  function renew(): Promise<void> {
    pending ??= attempt().finally(() => {
      pending = null;
    });
    return pending;
  }

  async function attempt(): Promise<void> {
    attemptedAt = steadyNow();
    try {
      held = await fetchKeys();
      failures = 0;
    } catch (error) {
      // Any error means that the keys were not fetched, which says nothing about a token. The hook gets the error, and
      // so does the caller if no keys are left: it is the cause of `keys_unavailable`. `fetchKeys` makes it a fault.
      failures += 1;
      lastError = error;
      jwksUri = null;
      tell(on.fetchFailed, error);
      warn(error as SetupFault);
    }
  }

  async function fetchKeys(): Promise<Held> {
    jwksUri ??= await parts.findJwksUri();
    const url = jwksUri;
    return about({ name: 'key set', url, cure: parts.cure }, async () => {
      const startedAt = steadyNow();
      const headers = { accept: 'application/json', ...(held?.etag && { 'if-none-match': held.etag }) };
      const document = await fetchDocument(settings.fetch, url, settings.timeoutMs, { headers });
      tell(on.fetched, steadyNow() - startedAt, document.status);
      const fault = clockFault(document.headers, settings);
      if (fault) warn(fault);
      return { ...(await keysOf(document)), fetchedAt: startedAt, freshForMs: freshness(document) };
    });
  }

  async function keysOf(document: FetchedDocument): Promise<Pick<Held, 'keys' | 'etag'>> {
    if (document.status === 304 && held) return { keys: held.keys, etag: held.etag };
    return { keys: await readKeySet(document, parts.algorithms), etag: document.headers.get('etag') };
  }

  function freshness({ headers }: FetchedDocument): number {
    return freshForMs(headers, parts.cacheMaxAgeMs);
  }
}
