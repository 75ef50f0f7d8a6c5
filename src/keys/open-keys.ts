import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { Config } from '../config/config.ts';
import { KEY_MARGIN_MS } from '../config/config-rules.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import { createKeyCommands } from './key-commands.ts';
import { createKeyLookup } from './key-lookup.ts';
import { createKeySeal } from './key-material.ts';
import { createKeyRotator, type RotatorPolicy } from './key-rotator.ts';
import { createKeySchedule } from './key-schedule.ts';
import { createKeyService, type Sign, type SignerKey } from './key-service.ts';
import { createKeyStore } from './key-store.ts';
import { createTokenSigner } from './token-signer.ts';
import { trustKeys } from './trusted-keys.ts';

/** The time for which sessions are served without the database. A replica that is cut off must not sign for ever. */
const MAX_UNCONFIRMED_MS = 10 * 60_000;

/**
 * The signing keys, and what operators can do to them. Nothing runs until `schedule.start()`: a command must not run
 * the schedule, because its settings may differ from the server's.
 */
export function openKeys(
  { config, database, guard, transact, revocations, keyEncryptionKey, clock, log }: Platform,
  { audit }: { audit: AuditService },
  createSigner: (key: SignerKey) => Sign | Promise<Sign> = createTokenSigner,
) {
  const policy = policyOf(config);
  const seal = createKeySeal(keyEncryptionKey, config.KEY_ENCRYPTION_KEY_PREVIOUS);
  const stored = guardStore('keys', createKeyStore(database), guard);
  const store = trustKeys(stored, seal, warning(log, 'a signing key in the database is not trusted'));
  const service = createKeyService({
    store,
    seal,
    createSigner,
    policy,
    clock,
    jwksMaxAgeMs: config.JWKS_MAX_AGE,
    maxUnconfirmedMs: maxUnconfirmedMsOf(config),
  });
  const rotator = createKeyRotator({ store, transact, revocations, audit, seal, policy });
  const schedule = createKeySchedule(
    service,
    rotator,
    warning(log, 'could not read or rotate the signing keys: trying again in two seconds'),
  );
  return {
    service,
    rotator,
    schedule,
    /** Finds the keys of our own tokens, even if another replica has just made one. */
    findKey: createKeyLookup(service, schedule.look, clock.local),
    /** @param afterChange makes the server that runs the command use the change at once */
    commands: (afterChange: () => Promise<void>) =>
      createKeyCommands({ store, rotator, policy, afterChange }),
    sweeps: [],
    close: schedule.close,
  };
}

function policyOf(config: Config): RotatorPolicy {
  return {
    algorithm: config.SIGNING_ALGORITHM,
    rotateEveryMs: config.KEY_ROTATION_EVERY,
    publishAheadMs: config.KEY_PUBLISH_AHEAD,
    retainMs: config.KEY_RETAIN,
  };
}

/** If the key was retired in the meantime, its last token must expire before verifiers drop the key. */
function maxUnconfirmedMsOf({ KEY_RETAIN, ACCESS_TOKEN_TTL }: Config): number {
  return Math.min(MAX_UNCONFIRMED_MS, KEY_RETAIN - ACCESS_TOKEN_TTL - KEY_MARGIN_MS);
}
