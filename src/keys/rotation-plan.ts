/** What the plan depends on. Instants are milliseconds since the epoch, database time; null means "not yet". */
export type KeyTimes = {
  kid: string;
  algorithm: string;
  publishedAt: number;
  activatedAt: number | null;
  retiredAt: number | null;
  revokedAt: number | null;
  /** Set when the key retires. */
  deleteAfter: number | null;
  /** Why the row must not be believed, if it must not. */
  distrust?: Error | undefined;
};

/** `pending` is published and does not sign yet. `untrusted` is like a key that does not exist. */
export type KeyStatus = 'pending' | 'active' | 'retired' | 'revoked' | 'untrusted';

export type RotationPolicy = {
  /** The algorithm of new keys. */
  algorithm: string;
  /** From the activation of one key to that of the next. */
  rotateEveryMs: number;
  /** From the publication of a key to its first signature: longer than any verifier keeps a key set. */
  publishAheadMs: number;
};

/** What to do now: independent steps, in this order. */
export type RotationPlan = {
  /** Make a key: only publish it, or also let it sign at once because there is no active key. */
  publish: 'pending' | 'active' | null;
  /** Activate this pending key, and retire the active one with it. */
  activate: string | null;
  retire: string | null;
  /** Retired keys whose tokens have all expired. */
  delete: string[];
};

export function keyStatus(key: KeyTimes): KeyStatus {
  if (key.revokedAt !== null) return 'revoked';
  if (key.distrust !== undefined) return 'untrusted';
  if (key.retiredAt !== null) return 'retired';
  return key.activatedAt === null ? 'pending' : 'active';
}

/** Whether a replica needs the private key. */
export function signsNowOrLater(key: KeyTimes): boolean {
  const status = keyStatus(key);
  return status === 'active' || status === 'pending';
}

/** Why nothing may sign or change: a key that signs now or later, going by its times, is not to be trusted. */
export function findBrokenSigner(keys: KeyTimes[]): Error | undefined {
  const signers = keys.filter(({ retiredAt, revokedAt }) => retiredAt === null && revokedAt === null);
  return signers.find(({ distrust }) => distrust !== undefined)?.distrust;
}

/**
 * What is due at `now`. If a plan is carried out only in part, or not at all, the next plan continues from there.
 */
export function planRotation(keys: KeyTimes[], now: number, policy: RotationPolicy): RotationPlan {
  const active = keys.find((key) => keyStatus(key) === 'active');
  const pending = oldestPending(keys);
  const expired = keys.filter((key) => keyStatus(key) === 'retired' && isPast(key.deleteAfter, now));
  return {
    publish: pending === undefined ? planPublish(active, now, policy) : null,
    ...planActivate(active, pending, now, policy),
    delete: expired.map((key) => key.kid),
  };
}

function planPublish(
  active: KeyTimes | undefined,
  now: number,
  policy: RotationPolicy,
): RotationPlan['publish'] {
  // No key can sign, so waiting until verifiers have the new key would only make the outage longer.
  if (active === undefined) return 'active';
  return now >= publishDueAt(active, policy) ? 'pending' : null;
}

function planActivate(
  active: KeyTimes | undefined,
  pending: KeyTimes | undefined,
  now: number,
  { publishAheadMs }: RotationPolicy,
): Pick<RotationPlan, 'activate' | 'retire'> {
  const isDue =
    pending !== undefined && (active === undefined || now >= pending.publishedAt + publishAheadMs);
  return isDue ? { activate: pending.kid, retire: active?.kid ?? null } : { activate: null, retire: null };
}

/**
 * The time of the next change of the key set, in milliseconds since the epoch: a key is published or deleted.
 * -Infinity means at once. An activation does not change the set, but another publication may follow it.
 */
export function nextKeySetChangeAt(keys: KeyTimes[], policy: RotationPolicy): number {
  const active = keys.find((key) => keyStatus(key) === 'active');
  const deletions = keys
    .filter((key) => keyStatus(key) === 'retired')
    .map((key) => key.deleteAfter ?? Number.POSITIVE_INFINITY);
  if (active === undefined) return Number.NEGATIVE_INFINITY;
  const pending = oldestPending(keys);
  const last = pending && { ...pending, activatedAt: pending.publishedAt + policy.publishAheadMs };
  return Math.min(publishDueAt(last ?? active, policy), ...deletions);
}

/**
 * When the next key begins to sign, in milliseconds since the epoch: in the past if that is overdue. Null without an
 * active key.
 */
export function nextActivationAt(keys: KeyTimes[], policy: RotationPolicy): number | null {
  const active = keys.find((key) => keyStatus(key) === 'active');
  if (active === undefined) return null;
  const publishedAt = oldestPending(keys)?.publishedAt ?? publishDueAt(active, policy);
  return publishedAt + policy.publishAheadMs;
}

/** Since when a key has its status, in milliseconds since the epoch. */
export function statusSince({ publishedAt, activatedAt, retiredAt, revokedAt }: KeyTimes): number {
  return revokedAt ?? retiredAt ?? activatedAt ?? publishedAt;
}

/** After a change of the algorithm, the next key is due at once. */
function publishDueAt(
  active: KeyTimes,
  { algorithm, rotateEveryMs, publishAheadMs }: RotationPolicy,
): number {
  const activatedAt = Number(active.activatedAt);
  return active.algorithm === algorithm ? activatedAt + rotateEveryMs - publishAheadMs : activatedAt;
}

function oldestPending(keys: KeyTimes[]): KeyTimes | undefined {
  return keys
    .filter((key) => keyStatus(key) === 'pending')
    .toSorted((a, b) => a.publishedAt - b.publishedAt || (a.kid < b.kid ? -1 : 1))[0];
}

function isPast(instant: number | null, now: number): boolean {
  return instant !== null && now >= instant;
}
