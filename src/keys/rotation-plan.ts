/** What rotation looks at. Instants are milliseconds since the epoch, database time; null is "not yet". */
export type KeyTimes = {
  kid: string;
  algorithm: string;
  publishedAt: number;
  activatedAt: number | null;
  retiredAt: number | null;
  revokedAt: number | null;
  /** Set when the key retires. */
  deleteAfter: number | null;
};

/** `pending` is published and does not sign yet. */
export type KeyStatus = 'pending' | 'active' | 'retired' | 'revoked';

export type RotationPolicy = {
  /** What new keys are made for. */
  algorithm: string;
  /** From the activation of one key to that of the next. */
  rotateEveryMs: number;
  /** From the publication of a key to its first signature: longer than any verifier keeps a key set. */
  publishAheadMs: number;
};

/** What is to be done now, each part on its own and in this order. */
export type RotationPlan = {
  /** Make a key: published only, or signing at once because no other key can. */
  publish: 'pending' | 'active' | null;
  /** Let this pending key sign, and with it retire the key that signs now. */
  activate: string | null;
  retire: string | null;
  /** Retired keys that no living token can have been signed with. */
  delete: string[];
};

export function keyStatus(key: KeyTimes): KeyStatus {
  if (key.revokedAt !== null) return 'revoked';
  if (key.retiredAt !== null) return 'retired';
  return key.activatedAt === null ? 'pending' : 'active';
}

/** Whether a replica needs the private key. */
export function signsNowOrLater(key: KeyTimes): boolean {
  const status = keyStatus(key);
  return status === 'active' || status === 'pending';
}

/**
 * What the keys need at `now`. Every plan, carried out in whole or in part or not at all, leaves a state from which
 * the next one goes on.
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
  // Nobody can sign: there is no verifier to wait for whose tokens would be better served by waiting.
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
 * When the key set will next have to show something new, in milliseconds since the epoch: a key published or
 * deleted. -Infinity is at once. An activation is nothing that the set shows, but another publication may follow it.
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

/** A changed algorithm does not wait for the old key's time. */
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
