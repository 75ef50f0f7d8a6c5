import { type Actor, byActor, OPERATOR, SERVER } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { AppError } from '../core/errors.ts';
import type { SigningAlgorithm } from '../core/jwk.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { RevocationLog } from '../db/revocation-log.ts';
import { generateKeyMaterial, type KeySeal } from './key-material.ts';
import type { KeyRing, KeyStore, NewStoredKey, StoredKey } from './key-store.ts';
import {
  findBrokenSigner,
  keyStatus,
  planRotation,
  type RotationPlan,
  type RotationPolicy,
} from './rotation-plan.ts';
import { opensNone } from './trusted-keys.ts';

export type RotatorPolicy = RotationPolicy & {
  algorithm: SigningAlgorithm;
  /** From a key's retirement to its deletion: longer than the life of any token that it signed. */
  retainMs: number;
};

type KeyRotatorParts = {
  /** One that says which keys to trust. */
  store: KeyStore;
  transact: Transact;
  revocations: RevocationLog;
  audit: AuditService;
  seal: KeySeal;
  policy: RotatorPolicy;
};

/** What the record of a rotation says: the kids of the keys whose status has changed. */
type ChangedKeys = {
  published?: string | undefined;
  activated?: string | null;
  retired?: string | null;
  deleted?: string[];
};

export type KeyRotator = ReturnType<typeof createKeyRotator>;

/**
 * Changes the signing keys, on schedule and by command.
 *
 * Each change is one transaction under one lock. It is planned from the rows that it reads after it has the lock, so
 * any number of replicas may try at the same time, and a process may die at any point.
 */
export function createKeyRotator({ store, transact, revocations, audit, seal, policy }: KeyRotatorParts) {
  return {
    /** Does what is due now. @returns whether anything was due */
    async rotateIfDue({ keys, databaseNow }: KeyRing): Promise<boolean> {
      const due = planRotation(keys, databaseNow, policy);
      if (isEmpty(due)) return false;
      // Made before the lock is taken: an RSA key takes long to make.
      const spare = due.publish === null ? null : await makeKey();
      await underLock(async (transaction, ring) => {
        const plan = planRotation(ring.keys, ring.databaseNow, policy);
        await carryOut(transaction, plan, spare);
      });
      return true;
    },

    /**
     * Starts a rotation before it is due: publishes a key that will sign once every verifier can have it.
     * @returns the kid of the pending key, which may have existed before
     */
    async publishNext(actor: Actor = OPERATOR): Promise<string> {
      const spare = await makeKey();
      return underLock(async (transaction, { keys }) => {
        const pending = keys.find((key) => keyStatus(key) === 'pending');
        if (pending !== undefined) return pending.kid;
        await store.insert(transaction, spare);
        await record(transaction, actor, { published: spare.kid });
        return spare.kid;
      });
    },

    /**
     * The emergency rotation: removes the named key from the key set at once. If it was the active key, or if none is
     * named, another key signs from now on. Verifiers with an older key set refuse the tokens of that key until they
     * fetch the keys again, so an active key that is not leaked stays, and revoking a key twice changes nothing more.
     * @param revoke kid of a leaked key
     * @returns the kid of the key that signs now
     * @throws AppError `not_found` for an unknown kid; KeyEncryptionKeyError, KeyRowError
     */
    async replaceNow(revoke: string | null, actor: Actor = OPERATOR): Promise<string> {
      const spare = await makeKey();
      return underLock(async (transaction, { keys }) => {
        const active = keys.find((key) => keyStatus(key) === 'active');
        if (revoke !== null) await revokeKey(transaction, keys, revoke, actor);
        if (active !== undefined && revoke !== null && revoke !== active.kid) return active.kid;
        if (active !== undefined) await store.retire(transaction, active.kid, policy.retainMs);
        const next = keys.find((key) => keyStatus(key) === 'pending' && key.kid !== revoke)?.kid ?? spare.kid;
        if (next === spare.kid) await store.insert(transaction, spare);
        await store.activate(transaction, next);
        await record(transaction, actor, { activated: next, retired: active?.kid ?? null });
        return next;
      }, revoke);
    },

    /**
     * Encrypts every private key with the current key-encryption key. Revoked keys stay as they are: their signatures
     * are never accepted, and the key that encrypted them may be lost.
     * @returns the kids of the keys that changed
     * @throws KeyEncryptionKeyError when a key cannot be decrypted; then nothing is changed
     */
    async rewrap(): Promise<string[]> {
      return underLock(async (transaction, { keys }) => {
        const trusted = keys.filter((key) => keyStatus(key) !== 'revoked');
        const stale = trusted.flatMap((key) => {
          const { privateKey, isCurrent } = seal.open(key.kid, key.encryptedPrivateKey);
          return isCurrent ? [] : [{ key, rewrapped: seal.seal(privateKey, key.kid) }];
        });
        for (const { key, rewrapped } of stale) await store.rewrap(transaction, key.kid, rewrapped);
        return stale.map(({ key }) => key.kid);
      });
    },
  };

  /** @param condemned kid of a key that is about to be revoked, so its row may be wrong */
  async function underLock<T>(
    work: (transaction: Transaction, ring: KeyRing) => Promise<T>,
    condemned: string | null = null,
  ): Promise<T> {
    return transact(async (transaction) => {
      await store.lock(transaction);
      const ring = await store.list(transaction);
      // If a new key had another key-encryption key than the others, every other replica would stop.
      const counted = opensNone(ring.keys) ? ring.keys : ring.keys.filter(({ kid }) => kid !== condemned);
      const broken = findBrokenSigner(counted);
      if (broken !== undefined) throw broken;
      return work(transaction, ring);
    });
  }

  async function makeKey(): Promise<NewStoredKey> {
    const { kid, algorithm, publicJwk, privateKey } = await generateKeyMaterial(policy.algorithm);
    return { kid, algorithm, publicJwk, encryptedPrivateKey: seal.seal(privateKey, kid) };
  }

  async function carryOut(
    transaction: Transaction,
    plan: RotationPlan,
    spare: NewStoredKey | null,
  ): Promise<void> {
    if (plan.publish !== null && spare !== null) await store.insert(transaction, spare);
    // First retire one, then activate the other: the database never allows two active keys, not even for a moment.
    if (plan.retire !== null) await store.retire(transaction, plan.retire, policy.retainMs);
    const activated = plan.publish === 'active' ? (spare?.kid ?? null) : plan.activate;
    if (activated !== null) await store.activate(transaction, activated);
    if (plan.delete.length > 0) await store.delete(transaction, plan.delete);
    // Another replica may have done it all before this one had the lock.
    if (isEmpty(plan)) return;
    const published = plan.publish === 'pending' ? spare?.kid : undefined;
    await record(transaction, SERVER, { published, activated, retired: plan.retire, deleted: plan.delete });
  }

  async function record(transaction: Transaction, actor: Actor, kids: ChangedKeys): Promise<void> {
    await audit.record(transaction, { kind: 'key.rotated', userId: null, ...byActor(actor), details: kids });
  }

  async function revokeKey(
    transaction: Transaction,
    keys: StoredKey[],
    kid: string,
    actor: Actor,
  ): Promise<void> {
    const key = keys.find((one) => one.kid === kid);
    if (key === undefined) throw new AppError('not_found', { detail: `There is no signing key ${kid}.` });
    await store.revoke(transaction, kid);
    await revocations.keyRevoked(transaction, kid);
    const event = { kind: 'key.revoked' as const, userId: null, ...byActor(actor) };
    if (key.revokedAt === null) await audit.record(transaction, { ...event, details: { kid } });
  }
}

function isEmpty(plan: RotationPlan): boolean {
  return plan.publish === null && plan.activate === null && plan.delete.length === 0;
}
