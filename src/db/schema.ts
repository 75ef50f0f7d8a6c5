import { unavailable } from '../core/errors.ts';
import type { PublicJwk, SigningAlgorithm } from '../core/jwk.ts';
import {
  bigint,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  sql,
  text,
  uniqueIndex,
  uuid,
} from './drizzle.ts';
import { UnreadableAnswer } from './unreadable-answer.ts';

const bytea = customType<{ data: Buffer; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  fromDriver: (value) => Buffer.from(value),
});

const INSTANT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?$/;

/**
 * Drizzle's own column takes any text. In another DateStyle, day and month would change places, or the date would be
 * invalid, and every session would seem to have expired.
 */
const instant = customType<{ data: Date; driverData: string }>({
  dataType: () => 'timestamp with time zone',
  toDriver: (value) => value.toISOString(),
  fromDriver: (text) => {
    if (INSTANT.test(text)) return new Date(text);
    throw unavailable(new UnreadableAnswer('an instant is not in ISO form: DateStyle must be ISO'));
  },
});

export const users = pgTable(
  'users',
  {
    id: uuid('id').primaryKey(),
    /** Canonical form: what "the same address" means. */
    email: text('email').notNull().unique('users_email_key'),
    /** As the user typed it: what mail is sent to and pages show. */
    emailAsTyped: text('email_as_typed').notNull(),
    emailVerifiedAt: instant('email_verified_at'),
    /** PHC string, parameters and salt included. Null: there is no password, so none is right. */
    passwordHash: text('password_hash'),
    /** When the password was seen in a list of leaked ones; null after it was changed. */
    passwordBreachedAt: instant('password_breached_at'),
    /** Incremented when the password is set: what was proved with an earlier one is no longer proved. */
    credentialsVersion: integer('credentials_version').notNull().default(1),
    displayName: text('display_name'),
    /** The language that the user chose for mails, as in RFC 5646. */
    locale: text('locale'),
    /** What the app keeps on its user. Nothing here reads it. */
    metadata: jsonb('metadata').$type<Record<string, unknown>>().notNull().default({}),
    /** When the account is to be deleted; until then its owner may undo that. */
    deletionDueAt: instant('deletion_due_at'),
    status: text('status', { enum: ['active', 'banned'] })
      .notNull()
      .default('active'),
    bannedAt: instant('banned_at'),
    /** When the ban ends by itself; null: it does not. */
    bannedUntil: instant('banned_until'),
    /** For operators; the user is not told. */
    banReason: text('ban_reason'),
    /** Names of roles, in the order of their names. One that the table `roles` does not have gives no scope. */
    roles: text('roles').array().notNull().default([]),
    /** The user's id in the system that the account was imported from. */
    externalId: text('external_id'),
    /** Incremented whenever the user's access tokens of before are void, such as when their claims change. */
    claimsVersion: integer('claims_version').notNull().default(1),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [
    index('users_deletion_due_at_idx').on(table.deletionDueAt).where(sql`${table.deletionDueAt} is not null`),
    // For the lists of operators.
    index('users_created_at_idx').on(table.createdAt, table.id),
    index('users_email_prefix_idx').on(table.email.op('text_pattern_ops')),
    index('users_display_name_prefix_idx')
      .on(sql`lower(${table.displayName}) text_pattern_ops`, table.id)
      .where(sql`${table.displayName} is not null`),
    index('users_with_roles_idx').on(table.createdAt, table.id).where(sql`${table.roles} <> '{}'`),
    index('users_banned_idx').on(table.createdAt, table.id).where(sql`${table.status} = 'banned'`),
    index('users_banned_until_idx').on(table.bannedUntil).where(sql`${table.bannedUntil} is not null`),
    uniqueIndex('users_external_id_key').on(table.externalId).where(sql`${table.externalId} is not null`),
    check('users_status_check', sql`${table.status} in ('active', 'banned')`),
  ],
);

export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** SHA-256 of the generate token. The token itself is only in the cookie. */
    generateToken: bytea('generate_token').notNull().unique('sessions_generate_token_key'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    /**
     * When the user last showed who they are. Null in rows of earlier releases, which may still write some during an
     * upgrade: then it was at `created_at`.
     */
    authenticatedAt: instant('authenticated_at'),
    /** How (RFC 8176). */
    amr: text('amr').array().notNull().default(['pwd']),
    /** How strongly, by name; null if the way has no name. */
    acr: text('acr'),
    lastSeenAt: instant('last_seen_at').notNull().default(sql`now()`),
    /** The absolute end. */
    expiresAt: instant('expires_at').notNull(),
    /** The end if the session is not used again; never later than `expires_at`. */
    idleExpiresAt: instant('idle_expires_at').notNull(),
    endedAt: instant('ended_at'),
    endReason: text('end_reason'),
    /** Incremented by every change that makes cached copies invalid. */
    version: integer('version').notNull().default(1),
    ip: text('ip'),
    userAgent: text('user_agent'),
  },
  (table) => [
    index('sessions_user_id_idx').on(table.userId),
    // A user's open sessions in the order of their list, however many have ended.
    index('sessions_open_idx')
      .on(table.userId, table.lastSeenAt, table.id)
      .where(sql`${table.endedAt} is null`),
    index('sessions_idle_expires_at_idx').on(table.idleExpiresAt),
    index('sessions_ended_at_idx').on(table.endedAt).where(sql`${table.endedAt} is not null`),
    check('sessions_generate_token_check', sql`octet_length(${table.generateToken}) = 32`),
  ],
);

export const signingKeys = pgTable(
  'signing_keys',
  {
    /** RFC 7638 thumbprint of the public key. */
    kid: text('kid').primaryKey(),
    algorithm: text('algorithm').$type<SigningAlgorithm>().notNull(),
    publicJwk: jsonb('public_jwk').$type<PublicJwk>().notNull(),
    /** PKCS #8, AES-256-GCM under the key-encryption key, with the kid as associated data. */
    encryptedPrivateKey: bytea('encrypted_private_key').notNull(),
    publishedAt: instant('published_at').notNull().default(sql`now()`),
    activatedAt: instant('activated_at'),
    retiredAt: instant('retired_at'),
    revokedAt: instant('revoked_at'),
    deleteAfter: instant('delete_after'),
  },
  (table) => [
    uniqueIndex('signing_keys_one_active')
      .on(sql`(true)`)
      .where(
        sql`${table.activatedAt} is not null and ${table.retiredAt} is null and ${table.revokedAt} is null`,
      ),
  ],
);

/** Committed messages that must still be delivered outside of the database. A delivered message is deleted. */
export const outbox = pgTable(
  'outbox',
  {
    id: uuid('id').primaryKey(),
    /** The lane: the feature that opened it knows what the payload holds. */
    kind: text('kind').notNull(),
    payload: jsonb('payload').$type<unknown>().notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    /** Attempts that were started, with any result. The number also distinguishes one claim from the next. */
    attempts: integer('attempts').notNull().default(0),
    /** Until then no replica claims it: one is delivering it, or it waits after a failure. */
    notBefore: instant('not_before').notNull().default(sql`now()`),
    /** Set after the last failed attempt: the message is kept for operators. */
    deadAt: instant('dead_at'),
    /** The code or the name of the last error; never its message, which may quote a secret. */
    lastError: text('last_error'),
  },
  (table) => [index('outbox_due_idx').on(table.kind, table.notBefore).where(sql`${table.deadAt} is null`)],
);

/** What a role lets its users do, wherever their access tokens are checked. */
export const roles = pgTable('roles', {
  name: text('name').primaryKey(),
  /** In the `scope` of the access tokens of users with the role. */
  scopes: text('scopes').array().notNull(),
  /** For people. */
  description: text('description').notNull().default(''),
  createdAt: instant('created_at').notNull().default(sql`now()`),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
});

/**
 * The kinds of password hashes that came with imported users. An unknown address must cost what a check of one of them
 * costs.
 */
export const importedHashes = pgTable('imported_hashes', {
  /** How costly the check is: the stored form up to the salt, such as `$2b$10`. */
  strength: text('strength').primaryKey(),
  /** A key that the origin mixed into its hashes, AES-256-GCM under the key-encryption key; null if it has none. */
  sealedKey: bytea('sealed_key'),
  createdAt: instant('created_at').notNull().default(sql`now()`),
});

/** Machine callers with credentials of their own (RFC 6749 clients). */
export const serviceClients = pgTable('service_clients', {
  /** The `client_id`, as the operator chose it. */
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  /** For `private_key_jwt`; null if the client has a secret instead. */
  publicKeys: jsonb('public_keys').$type<PublicJwk[]>(),
  scopes: text('scopes').array().notNull(),
  /** The services whose tokens the client may get and see. */
  audiences: text('audiences').array().notNull(),
  createdAt: instant('created_at').notNull().default(sql`now()`),
  disabledAt: instant('disabled_at'),
});

/** The secrets that clients may use: the current one, and earlier ones during the overlap. */
export const clientSecrets = pgTable(
  'client_secrets',
  {
    /** SHA-256. The secret itself was shown once and is not stored. */
    secretHash: bytea('secret_hash').primaryKey(),
    clientId: text('client_id')
      .notNull()
      .references(() => serviceClients.id, { onDelete: 'cascade' }),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    /** Null for the current one. */
    expiresAt: instant('expires_at'),
  },
  (table) => [
    index('client_secrets_client_id_idx').on(table.clientId),
    check('client_secrets_secret_hash_check', sql`octet_length(${table.secretHash}) = 32`),
  ],
);

/** Tokens that are no longer valid although they have not expired. The rows are kept until they expire. */
export const spentTokens = pgTable(
  'spent_tokens',
  {
    /** `jti` of an access or single-use token; for a client's assertion, the client's id and the `jti`. */
    jti: text('jti').primaryKey(),
    reason: text('reason', { enum: ['redeemed', 'revoked', 'asserted'] }).notNull(),
    clientId: text('client_id').notNull(),
    /** Lets the client that redeemed the token repeat its request. */
    idempotencyKey: text('idempotency_key'),
    spentAt: instant('spent_at').notNull().default(sql`now()`),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [index('spent_tokens_expires_at_idx').on(table.expiresAt)],
);

/** Codes that were sent to a mailbox. Whoever enters one reads that mailbox, and no more is proved. */
export const oneTimeCodes = pgTable(
  'one_time_codes',
  {
    id: uuid('id').primaryKey(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    purpose: text('purpose').notNull(),
    /** The canonical address that it was sent to. */
    email: text('email').notNull(),
    /** SHA-256 of the code in the link; null if the mail had none. */
    linkHash: bytea('link_hash').unique('one_time_codes_link_hash_key'),
    /** SHA-256 of the row's id and the code for typing; null if the mail had none. */
    typedHash: bytea('typed_hash'),
    /** Of the code for typing. */
    wrongTries: integer('wrong_tries').notNull().default(0),
    /** SHA-256 of the secret of the browser that asked for it; null if that does not matter. */
    browserHash: bytea('browser_hash'),
    /** What is to be done with it, such as the new address. */
    context: jsonb('context').$type<Record<string, string>>().notNull().default({}),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    expiresAt: instant('expires_at').notNull(),
    spentAt: instant('spent_at'),
  },
  (table) => [
    index('one_time_codes_user_id_idx').on(table.userId),
    index('one_time_codes_email_idx').on(table.email, table.purpose),
    index('one_time_codes_expires_at_idx').on(table.expiresAt),
  ],
);

/** Guesses of the last minutes, counted before they are looked at. */
export const loginThrottle = pgTable(
  'login_throttle',
  {
    /** SHA-256 of what is guarded: its kind, and an address or a device. */
    key: bytea('key').primaryKey(),
    /** The guesses that still count, the oldest first. */
    attempts: instant('attempts').array().notNull(),
    /** When none of them counts any more. */
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [index('login_throttle_expires_at_idx').on(table.expiresAt)],
);

/**
 * What happened, in the order of the ids. A trigger refuses to delete or change an event, but for taking personal data
 * away. It refers to no row, so that it outlives the account that it is about.
 */
export const auditEvents = pgTable(
  'audit_events',
  {
    id: uuid('id').primaryKey(),
    /** What happened, such as `password.changed`. */
    kind: text('kind').notNull(),
    happenedAt: instant('happened_at').notNull().default(sql`now()`),
    /** The account that it happened to; null if there is none. */
    userId: uuid('user_id'),
    /** Who did it: a user or a service client, by id; null if nobody had signed in. */
    actorId: text('actor_id'),
    /** What the actor is. Null in events of earlier releases, and if nobody had signed in. */
    actorKind: text('actor_kind', { enum: ['user', 'client', 'operator', 'server'] }),
    /** Of the request that did it, as in the log. */
    requestId: text('request_id'),
    sessionId: uuid('session_id'),
    ip: text('ip'),
    userAgent: text('user_agent'),
    details: jsonb('details').$type<Record<string, unknown>>(),
  },
  (table) => [
    index('audit_events_user_id_idx').on(table.userId, table.id),
    index('audit_events_actor_id_idx').on(table.actorId, table.id),
    index('audit_events_kind_idx').on(table.kind, table.id),
    // What operators and timers did is a few events among very many.
    index('audit_events_without_actor_idx')
      .on(table.actorKind, table.id)
      .where(sql`${table.actorId} is null and ${table.actorKind} is not null`),
  ],
);

/**
 * What services that verify offline must hear of. A row is written by the transaction that revokes, and numbered after
 * its commit, by the function `number_revocations` of the migrations.
 */
export const revocations = pgTable(
  'revocations',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** The place in the feed: whoever sees a row sees all rows with lower numbers. Null until it is numbered. */
    seq: bigint('seq', { mode: 'number' }).unique('revocations_seq_key'),
    kind: text('kind', { enum: ['session', 'token', 'user', 'client', 'key'] }).notNull(),
    /** The first 8 bytes of SHA-256 of `sid`, `jti`, `sub` or `client_id`; for a key, its `kid`. */
    subject: bytea('subject').notNull(),
    /** For a user the least claims version that is valid; for a client the second of `iat` up to which tokens are void. */
    value: bigint('value', { mode: 'number' }),
    /** The beginning of the transaction that revokes; from the numbering on, that of the numbering. */
    revokedAt: instant('revoked_at').notNull().default(sql`now()`),
  },
  (table) => [
    // Mostly empty: finding out that there is nothing to number costs nothing.
    index('revocations_unnumbered_idx').on(table.id).where(sql`${table.seq} is null`),
    index('revocations_revoked_at_idx').on(table.revokedAt),
  ],
);
