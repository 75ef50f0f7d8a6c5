import { createAccountService } from './accounts/account-service.ts';
import { createAccountStore } from './accounts/account-store.ts';
import { createPasswordHasher } from './accounts/password-hash.ts';
import type { Adapters } from './adapters/adapters.ts';
import { breakingGuard, createTransact, deadlineGuard, guardStore } from './adapters/database-guard.ts';
import { createMemoryCache } from './adapters/memory-cache.ts';
import { createClientService } from './clients/client-service.ts';
import { createClientStore } from './clients/client-store.ts';
import { createForwardAuthService } from './clients/forward-auth-service.ts';
import { createIntrospectionService } from './clients/introspection-service.ts';
import { createTokenStatusStore } from './clients/token-status-store.ts';
import { type Config, KEY_MARGIN_MS } from './config.ts';
import { createBatch } from './core/batch.ts';
import type { DatabaseClock } from './core/clock.ts';
import { repeat } from './core/repeat.ts';
import { createTokenSigner } from './http/token-signer.ts';
import { createKeyCommands } from './keys/key-commands.ts';
import { createKeyLookup } from './keys/key-lookup.ts';
import { createKeySeal } from './keys/key-material.ts';
import { createKeyRotator } from './keys/key-rotator.ts';
import { createKeySchedule } from './keys/key-schedule.ts';
import { createKeyService } from './keys/key-service.ts';
import { createKeyStore } from './keys/key-store.ts';
import { createOperatorCommands } from './operator-commands.ts';
import { createOutboxService } from './outbox/outbox-service.ts';
import { createOutboxStore } from './outbox/outbox-store.ts';
import { createLastSeen } from './sessions/last-seen.ts';
import { createSessionCache } from './sessions/session-cache.ts';
import { createSessionService, deliverSessionsEnded } from './sessions/session-service.ts';
import { createSessionStore } from './sessions/session-store.ts';
import { createUnknownTokens } from './sessions/unknown-tokens.ts';
import { sweepAll } from './sweeper.ts';
import { createTokenService } from './tokens/token-service.ts';

/** Hears of what went wrong without anybody having to be told: `err` and what it means. */
export type Warn = (context: { err?: unknown }, message: string) => void;

/** As long as sessions are served without the database, too: a replica that nobody can reach must not sign for ever. */
const MAX_UNCONFIRMED_MS = 10 * 60_000;
const SWEEP_EVERY_MS = 60_000;
/** Looked up by one statement: more of them would keep the first one waiting. */
const SESSIONS_AT_ONCE = 100;

/**
 * The signing keys, and what operators can do to them. Nothing runs until `schedule.start()`: a command must not do
 * what the schedule would, by settings that may not be the server's.
 */
export function createKeyServices(
  config: Config,
  adapters: Adapters,
  clock: DatabaseClock,
  warn: Warn,
  guard = deadlineGuard(),
) {
  const { database, keyEncryptionKey } = adapters;
  const policy = {
    algorithm: config.SIGNING_ALGORITHM,
    rotateEveryMs: config.KEY_ROTATION_EVERY,
    publishAheadMs: config.KEY_PUBLISH_AHEAD,
    retainMs: config.KEY_RETAIN,
  };
  const store = guardStore(createKeyStore(database), guard);
  const seal = createKeySeal(keyEncryptionKey, config.KEY_ENCRYPTION_KEY_PREVIOUS);
  const keys = createKeyService({
    store,
    seal,
    createSigner: createTokenSigner,
    policy,
    clock,
    jwksMaxAgeMs: config.JWKS_MAX_AGE,
    // A token signed by a key that was retired unheard of must have expired before verifiers drop that key.
    maxUnconfirmedMs: Math.min(
      MAX_UNCONFIRMED_MS,
      config.KEY_RETAIN - config.ACCESS_TOKEN_TTL - KEY_MARGIN_MS,
    ),
  });
  const rotator = createKeyRotator({ store, transact: createTransact(database, guard), seal, policy });
  const schedule = createKeySchedule(keys, rotator, (err) =>
    warn({ err }, 'could not look after the signing keys'),
  );
  /** @param afterChange lets the server that runs the command take over the change at once */
  const commands = (afterChange: () => Promise<void>) => createKeyCommands({ store, rotator, afterChange });
  return { keys, schedule, commands };
}

/**
 * Everything the routes stand on, started.
 * @throws KeyEncryptionKeyError when the stored signing keys do not open; AppError `unavailable`
 */
export async function startServices(config: Config, adapters: Adapters, clock: DatabaseClock, warn: Warn) {
  const { database } = adapters;
  const warnOf = (message: string) => (err: unknown) => warn({ err }, message);
  const guard = breakingGuard({
    ping: adapters.pingDatabase,
    onProbeLost: adapters.renewDatabase,
    onBreak: (isOpen) => warn({}, isOpen ? 'the database does not answer' : 'the database answers again'),
  });
  const transact = createTransact(database, guard);
  const sessionStore = guardStore(createSessionStore(database), guard);

  const { keys, schedule, commands } = createKeyServices(config, adapters, clock, warn, guard);
  await schedule.start();

  const lastSeen = createLastSeen(
    (sessionIds) => sessionStore.touch(sessionIds, config.SESSION_IDLE_TTL),
    warnOf('could not note when sessions were last seen'),
  );
  const findSession = createBatch(sessionStore.findAll, SESSIONS_AT_ONCE);
  const sessionCache = createSessionCache({
    cache: adapters.cache,
    now: clock.now,
    load: async (tokenHash) => {
      const found = await findSession(tokenHash);
      if (found === null) return null;
      clock.observe(found.databaseNow);
      return found.record;
    },
  });
  const outbox = createOutboxService({
    store: guardStore(createOutboxStore(database), guard),
    deliver: { sessions_ended: (payload) => deliverSessionsEnded(sessionCache, payload) },
    onError: warnOf('could not tell the cache of ended sessions; trying again'),
  });
  const sessions = createSessionService({
    store: sessionStore,
    cache: sessionCache,
    outbox,
    unknownTokens: createUnknownTokens(createMemoryCache(clock.local)),
    transact,
    clock,
    lastSeen,
    ttlMs: config.SESSION_TTL,
    idleTtlMs: config.SESSION_IDLE_TTL,
  });
  const passwords = createPasswordHasher({
    memoryKib: config.PASSWORD_HASH_MEMORY_KIB,
    iterations: config.PASSWORD_HASH_ITERATIONS,
    threads: config.PASSWORD_HASH_THREADS,
    onWorkerError: warnOf('a password hashing thread failed and was replaced'),
  });
  const accounts = createAccountService({
    store: guardStore(createAccountStore(database), guard),
    sessions,
    passwords,
    transact,
    passwordMinLength: config.PASSWORD_MIN_LENGTH,
    onRehashError: warnOf('could not store a stronger password hash'),
  });
  const tokens = createTokenService({
    sessions,
    keys,
    findKey: createKeyLookup(keys, schedule.look, clock.local),
    now: clock.now,
    issuer: config.PUBLIC_URL,
    clientId: config.CLIENT_ID,
    audiences: config.AUDIENCES,
    ttlMs: config.ACCESS_TOKEN_TTL,
    reuseMs: config.ACCESS_TOKEN_REUSE,
  });
  const statuses = guardStore(createTokenStatusStore(database), guard);
  const introspection = createIntrospectionService({ tokens, statuses });
  const clients = createClientService({
    store: guardStore(createClientStore(database), guard),
    statuses,
    tokens,
    failures: createUnknownTokens(createMemoryCache(clock.local)),
    memory: createMemoryCache(clock.local),
    issuer: config.PUBLIC_URL,
    now: clock.now,
  });
  const forwardAuth = createForwardAuthService({
    sessions,
    tokens,
    introspection,
    audiences: config.AUDIENCES,
  });
  const retries = outbox.start();
  const sweeping = repeat(
    () => sweepAll([sessionStore.sweep, statuses.sweep], transact),
    SWEEP_EVERY_MS,
    warnOf('could not delete what has expired'),
  );
  const close = async () => {
    await schedule.close();
    await retries.close();
    await sweeping.close();
    guard.close();
    await lastSeen.close();
    await passwords.close();
  };
  const operatorCommands = createOperatorCommands({
    config,
    adapters,
    now: clock.now,
    keys,
    keyCommands: commands(schedule.look),
    // The schedule does that, one look at a time.
    prepareKeys: async () => {},
    guard,
  });
  return {
    accounts,
    sessions,
    tokens,
    keys,
    clients,
    introspection,
    forwardAuth,
    commands: operatorCommands,
    close,
  };
}
