import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { openAudit } from '../../src/audit/open-audit.ts';
import type { Database, Transact } from '../../src/db/database.ts';
import { createTransact, deadlineGuard, guardStore } from '../../src/db/database-guard.ts';
import { loadPostgresDriver } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { createKeySeal } from '../../src/keys/key-material.ts';
import type { RotatorPolicy } from '../../src/keys/key-rotator.ts';
import type { Sign, SignerKey } from '../../src/keys/key-service.ts';
import { createKeyStore, type KeyRing } from '../../src/keys/key-store.ts';
import { openKeys } from '../../src/keys/open-keys.ts';
import { keyStatus } from '../../src/keys/rotation-plan.ts';
import { createPlatform, keepErrors } from './platform.ts';

const { drizzle } = loadPostgresDriver();

export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;

/** The defaults of the settings. */
export const policy: RotatorPolicy = {
  algorithm: 'ES256',
  rotateEveryMs: 30 * DAY_MS,
  publishAheadMs: 15 * MINUTE_MS,
  retainMs: 45 * MINUTE_MS,
};

/** Longer than a busy machine needs, and longer than a test holds a transaction. */
const GENEROUS_DEADLINE_MS = 30_000;

export type ReplicaOptions = {
  policy?: Partial<RotatorPolicy>;
  keyEncryptionKey?: Buffer;
  previous?: Buffer;
  createSigner?: (key: SignerKey) => Sign | Promise<Sign>;
  deadlineMs?: number;
  /** This replica's own clock, in place of the usual one. */
  local?: () => number;
};

/** The signing keys of one replica, opened as the server opens them. */
export function createReplica(database: Database, transact: Transact, options: ReplicaOptions = {}) {
  const { keyEncryptionKey = randomBytes(32), previous, createSigner, deadlineMs, local } = options;
  const errors: unknown[] = [];
  const platform = createPlatform(database, {
    config: { ...settingsOf({ ...policy, ...options.policy }), KEY_ENCRYPTION_KEY_PREVIOUS: previous },
    transact,
    keyEncryptionKey,
    log: keepErrors(errors),
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(local !== undefined && { local }),
  });
  const {
    service: keys,
    rotator,
    schedule,
    commands,
  } = openKeys(platform, { audit: openAudit(platform).service }, createSigner);
  const store = guardStore('keys', createKeyStore(database), platform.guard);
  const seal = createKeySeal(keyEncryptionKey, previous);
  return { store, seal, keys, rotator, schedule, commands, clock: platform.clock, errors };
}

function settingsOf({ algorithm, rotateEveryMs, publishAheadMs, retainMs }: RotatorPolicy) {
  return {
    SIGNING_ALGORITHM: algorithm,
    KEY_ROTATION_EVERY: rotateEveryMs,
    KEY_PUBLISH_AHEAD: publishAheadMs,
    KEY_RETAIN: retainMs,
  };
}

export type Replica = ReturnType<typeof createReplica>;

/** A replica with connections of its own, as a process has; `name` is what PostgreSQL calls them. */
export function openReplica(url: string, options: ReplicaOptions, name = 'test') {
  const sql = postgres(url, { max: 2, onnotice: () => {}, connection: { application_name: name } });
  const database = drizzle(sql, { schema });
  const replica = createReplica(
    database,
    createTransact(database, deadlineGuard(GENEROUS_DEADLINE_MS)),
    options,
  );
  return { ...replica, disconnect: () => sql.end({ timeout: 1 }) };
}

/** How many keys are in each state. */
export function countKeys({ keys }: KeyRing) {
  const count = { pending: 0, active: 0, retired: 0, revoked: 0 };
  // A store alone distrusts no key.
  for (const key of keys) count[keyStatus(key) as keyof typeof count] += 1;
  return count;
}

/** The kids of the keys in one state, the oldest first. */
export function kidsOf({ keys }: KeyRing, status: ReturnType<typeof keyStatus>): string[] {
  return keys.filter((key) => keyStatus(key) === status).map(({ kid }) => kid);
}

/** The only kid in that state; throws if there is none or more than one. */
export function kidOf(ring: KeyRing, status: ReturnType<typeof keyStatus>): string {
  const [kid, ...others] = kidsOf(ring, status);
  if (kid === undefined || others.length > 0) throw new Error(`not exactly one ${status} key`);
  return kid;
}

/** Claims that a verifier accepts: of a token that lives for half an hour from `now`. */
export function makeClaims(now = Date.now()) {
  const iat = Math.floor(now / 1000);
  return { iss: 'https://auth.example.com', aud: 'shop', sub: 'user-1', iat, exp: iat + 1800 };
}
