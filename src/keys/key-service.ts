import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { DatabaseClock } from '../core/clock.ts';
import { unavailable } from '../core/errors.ts';
import type { PublicJwk, SigningAlgorithm } from '../core/jwk.ts';
import type { TokenType } from '../verifier/check-token.ts';
import type { KeySeal } from './key-material.ts';
import type { KeyRing, KeyStore, StoredKey } from './key-store.ts';
import {
  findBrokenSigner,
  type KeyStatus,
  type KeyTimes,
  keyStatus,
  nextActivationAt,
  nextKeySetChangeAt,
  type RotationPolicy,
  signsNowOrLater,
  statusSince,
} from './rotation-plan.ts';

/** After this time several looks at the database have failed. */
const SURE_FOR_MS = 10_000;

/** Signs the claims with one key; made once for that key. */
export type Sign = (claims: object, type: TokenType) => string;

export type SignerKey = {
  kid: string;
  algorithm: SigningAlgorithm;
  privateKey: KeyObject;
};

/** A key of the key set, and its only algorithm. */
export type PublicKey = {
  algorithm: string;
  key: KeyObject;
  /** SubjectPublicKeyInfo in PEM, the form that @fastify/jwt needs. */
  pem: string;
};

/** The key set as it is served: RFC 7517 §5, in JSON, with its HTTP validators. */
export type ServedKeySet = { body: string; etag: string; maxAgeSeconds: number };

/** What a replica knows of the keys. Times in milliseconds. */
export type KeyState = {
  /** How long each key has had its status. */
  keys: { status: KeyStatus; ageMs: number }[];
  /** Until the next key signs; negative if that is overdue, null without an active key. */
  untilRotationMs: number | null;
  /** Since the database has confirmed all this. */
  unconfirmedMs: number;
};

type KeyServiceParts = {
  /** One that says which keys to trust. */
  store: KeyStore;
  seal: KeySeal;
  createSigner(key: SignerKey): Sign | Promise<Sign>;
  policy: RotationPolicy;
  jwksMaxAgeMs: number;
  /** How long this replica may sign without reading from the database which key is active. */
  maxUnconfirmedMs: number;
  clock: DatabaseClock;
};

export type KeyService = ReturnType<typeof createKeyService>;

/**
 * The signing keys as this replica holds them in memory. Empty until the first `refresh`.
 *
 * Pending keys are decrypted and get their signers before they are active, so that no request waits for that.
 */
export function createKeyService(parts: KeyServiceParts) {
  const { store, seal, createSigner, policy, jwksMaxAgeMs, maxUnconfirmedMs, clock } = parts;
  let signers = new Map<string, Sign>();
  let active: { kid: string; sign: Sign } | undefined;
  let publicKeys = new Map<string, PublicKey>();
  let known: KeyTimes[] = [];
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let served = { body: '{"keys":[]}', etag: '""' };
  let nextChangeAt = Number.POSITIVE_INFINITY;

  return {
    /**
     * Signs with the active key.
     * @param claims plain JSON
     * @param type the `typ` of the header
     * @returns JWS compact serialization (RFC 7515 §7.1)
     * @throws AppError `unavailable` when this key may have been retired so long ago that verifiers would drop it
     * before the token expires
     */
    sign(claims: object, type: TokenType = 'at+jwt'): string {
      if (active === undefined || clock.local() - confirmedAt > maxUnconfirmedMs) {
        throw unavailable(new Error('the database has not confirmed the signing key for too long'));
      }
      return active.sign(claims, type);
    },

    /** Which key signs now, as far as this replica knows. */
    activeKid: (): string | null => active?.kid ?? null,

    /** The public key with this `kid`, to check our own tokens; null if the key set has none. */
    findPublicKey(kid: string): PublicKey | null {
      return publicKeys.get(kid) ?? null;
    },

    /**
     * The key set, from memory. Its `maxAgeSeconds` ends at the next planned change, and is 0 while this replica may
     * have missed a change, such as the revocation of a leaked key.
     */
    jwks(): ServedKeySet {
      const isSure = clock.local() - confirmedAt <= SURE_FOR_MS;
      const untilChangeMs = isSure ? Math.max(0, nextChangeAt - clock.now()) : 0;
      return { ...served, maxAgeSeconds: Math.floor(Math.min(jwksMaxAgeMs, untilChangeMs) / 1000) };
    },

    /** For metrics. */
    state(): KeyState {
      const rotationAt = nextActivationAt(known, policy);
      return {
        keys: known.map((key) => ({ status: keyStatus(key), ageMs: clock.now() - statusSince(key) })),
        untilRotationMs: rotationAt === null ? null : rotationAt - clock.now(),
        unconfirmedMs: clock.local() - confirmedAt,
      };
    },

    /**
     * Reads the keys from the database.
     * @throws KeyEncryptionKeyError or KeyRowError when an active or pending key is not to be trusted; AppError
     * `unavailable`
     */
    async refresh(): Promise<KeyRing> {
      const askedAt = clock.local();
      const ring = await store.list();
      clock.observe(new Date(ring.databaseNow));
      known = ring.keys;
      showKeySet(ring.keys);
      const broken = findBrokenSigner(ring.keys);
      if (broken !== undefined) throw broken;
      await takeSigners(ring.keys);
      confirmedAt = askedAt;
      return ring;
    },
  };

  function showKeySet(keys: StoredKey[]): void {
    const jwks = keys.filter(isPublished).map((key) => key.publicJwk);
    const body = JSON.stringify({ keys: jwks });
    nextChangeAt = nextKeySetChangeAt(keys, policy);
    if (body === served.body) return;
    served = { body, etag: etagOf(body) };
    publicKeys = new Map(jwks.map((jwk) => [jwk.kid, publicKeyOf(jwk)]));
  }

  async function takeSigners(keys: StoredKey[]): Promise<void> {
    const next = new Map<string, Sign>();
    for (const key of keys) {
      if (!signsNowOrLater(key)) continue;
      next.set(key.kid, signers.get(key.kid) ?? (await createSigner(openKey(key))));
    }
    signers = next;
    const kid = keys.find((key) => keyStatus(key) === 'active')?.kid ?? '';
    const sign = signers.get(kid);
    active = sign && { kid, sign };
  }

  function openKey({ kid, algorithm, encryptedPrivateKey }: StoredKey): SignerKey {
    const { privateKey } = seal.open(kid, encryptedPrivateKey);
    return { kid, algorithm, privateKey };
  }
}

function isPublished(key: StoredKey): boolean {
  return !['revoked', 'untrusted'].includes(keyStatus(key));
}

function publicKeyOf(jwk: PublicJwk): PublicKey {
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  return { algorithm: jwk.alg, key, pem: key.export({ format: 'pem', type: 'spki' }).toString() };
}

function etagOf(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url')}"`;
}
