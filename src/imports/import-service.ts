import { v7 as uuidv7 } from 'uuid';
import { type Actor, byActor } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { ImportedHashes } from '../passwords/imported-hash-service.ts';
import type { SignerKey } from '../passwords/stored-hash.ts';
import { toImportedUser } from './exported-user.ts';
import type { Holder, ImportStore, UserRow } from './import-store.ts';
import {
  type ExportBatch,
  type ExportedBatch,
  type ImportBatch,
  type ImportOutcome,
  type ImportResult,
  MOST_IN_BATCH,
} from './imported-user.ts';
import { type ReadUser, readImportedUser } from './read-imported-user.ts';

const FIRST_ID = '00000000-0000-0000-0000-000000000000';

type ImportServiceParts = {
  store: ImportStore;
  hashes: ImportedHashes;
  audit: AuditService;
  transact: Transact;
  clock: Pick<DatabaseClock, 'now'>;
};

/** A record that nothing speaks against so far, and where its outcome goes. */
type Candidate = { user: ReadUser; at: number };

/** A problem of a candidate, a sentence; null if there is none. */
type Rule = (user: ReadUser) => string | null;

/** Brings users from elsewhere into the database, and all of them out of it. */
export function createImportService({ store, hashes, audit, transact, clock }: ImportServiceParts) {
  return {
    /**
     * Makes accounts of records, all of a batch in one transaction with one audit event. An account that is here already is
     * left as it is, so an import may be run again. No mails, and no webhook for each user.
     * @throws AppError `validation_failed` for a batch that is too large, `unavailable`
     */
    importBatch: ({ records, dry_run }: ImportBatch, actor: Actor): Promise<ImportResult> => {
      requireSize(records.length);
      const read = records.map(readImportedUser);
      return transact(async (transaction) => {
        const results = read.map(
          (one): ImportOutcome => ('user' in one ? CREATED : { outcome: 'rejected', reasons: one.reasons }),
        );
        const users = read.flatMap((one, at) => ('user' in one ? [{ user: one.user, at }] : []));
        const batch = createBatch(users, results);
        await store.lock(transaction);
        await importUsers(transaction, batch, dry_run, actor);
        return { results };
      });
    },

    /**
     * Users in the order of their ids, with their password hashes. Without those whose deletion is under way: they would come
     * back to life elsewhere. Each batch is written down.
     * @throws AppError `validation_failed` for a batch that is too large, `unavailable`
     */
    async exportBatch({ after, limit }: ExportBatch, actor: Actor): Promise<ExportedBatch> {
      requireSize(limit);
      const keys = new Map((await hashes.list()).map(({ strength, key }) => [strength, key]));
      return transact(async (transaction) => {
        const rows = await store.list(transaction, limit, after ?? FIRST_ID);
        await record(transaction, 'users.exported', rows.length, actor);
        const next = rows[limit - 1]?.id ?? null;
        return { records: rows.map((row) => toImportedUser(row, keys)), next };
      });
    },
  };

  async function importUsers(transaction: Transaction, batch: Batch, isDryRun: boolean, actor: Actor) {
    batch.reject(twinRule());
    batch.reject(await roleRule(transaction, batch.users()));
    const holders = await store.findHolders(transaction, keysOf(batch.users()));
    batch.judge(holders);
    const refused = await hashes.admit(transaction, strengthsOf(batch.users()), isDryRun);
    batch.reject(({ hash }) => (hash === null ? null : (refused.get(hash.strength) ?? null)));
    const rows = new Map(batch.users().map((user) => [user, toRow(user, new Date(clock.now()))]));
    if (!isDryRun && rows.size > 0) {
      const written = new Set(await store.insert(transaction, [...rows.values()]));
      batch.reject((user) => (written.has(String(rows.get(user)?.id)) ? null : RACED));
    }
    // Afterwards, so that the statement sees a change of address for which the one before had to wait.
    const reserved = new Set(
      await store.findReserved(
        transaction,
        batch.users().map(({ email }) => email),
      ),
    );
    const taken = batch.users().filter(({ email }) => reserved.has(email));
    batch.reject(({ email }) => (reserved.has(email) ? RESERVED : null));
    await store.remove(
      transaction,
      taken.map((user) => String(rows.get(user)?.id)),
    );
    if (!isDryRun) await record(transaction, 'users.imported', batch.users().length, actor);
  }

  async function roleRule(transaction: Transaction, users: ReadUser[]): Promise<Rule> {
    const names = [...new Set(users.flatMap(({ roles }) => roles))];
    const known = new Set(await store.findRoles(transaction, names));
    return ({ roles }) => {
      const unknown = roles.filter((name) => !known.has(name));
      return unknown.length === 0
        ? null
        : `roles: There is no role ${unknown.map((name) => JSON.stringify(name)).join(', ')}. Make it with "doorward roles set", or leave it out.`;
    };
  }

  /** The ids stand in the accounts; here it is how many. */
  async function record(
    transaction: Transaction,
    kind: 'users.imported' | 'users.exported',
    count: number,
    actor: Actor,
  ): Promise<void> {
    if (count > 0)
      await audit.record(transaction, { kind, userId: null, ...byActor(actor), details: { count } });
  }
}

const CREATED: ImportOutcome = { outcome: 'created' };
const RACED = 'An account with this address or id was made at the same moment: run the import again.';
const RESERVED =
  'email: The address belonged to another account until lately, and its owner may bring it back for some days.';

function requireSize(count: number): void {
  if (count >= 1 && count <= MOST_IN_BATCH) return;
  throw new AppError('validation_failed', { detail: `A batch has 1 to ${MOST_IN_BATCH} users.` });
}

type Batch = ReturnType<typeof createBatch>;

/** The candidates of a batch, which become fewer, and the outcomes of all records. */
function createBatch(given: Candidate[], results: ImportOutcome[]) {
  let candidates = given;

  return {
    users: () => candidates.map(({ user }) => user),

    /** Those with a problem are out. */
    reject(rule: Rule): void {
      settle((user) => {
        const reason = rule(user);
        return reason === null ? null : { outcome: 'rejected', reasons: [reason] };
      });
    },

    /** Those that are here already are out. */
    judge(holders: Holder[]): void {
      const byEmail = new Map(holders.map((holder) => [holder.email, holder]));
      const ids = new Set(holders.map(({ id }) => id));
      const externalIds = new Set(holders.map(({ externalId }) => externalId));
      settle(({ id, email, externalId }) => {
        const holder = byEmail.get(email);
        if (id !== null && ids.has(id)) return UNCHANGED;
        if (externalId !== null && externalIds.has(externalId)) return UNCHANGED;
        if (holder === undefined) return null;
        if (externalId === null || holder.externalId === null) return UNCHANGED;
        return { outcome: 'rejected', reasons: [TAKEN] };
      });
    },
  };

  function settle(outcomeOf: (user: ReadUser) => ImportOutcome | null): void {
    candidates = candidates.filter(({ user, at }) => {
      const outcome = outcomeOf(user);
      if (outcome !== null) results[at] = outcome;
      return outcome === null;
    });
  }
}

const UNCHANGED: ImportOutcome = { outcome: 'unchanged' };
const TAKEN = 'email: Another account has this address, one with another external_id.';

/** The first of two records that cannot both be accounts stays. */
function twinRule(): Rule {
  const seen = new Set<string>();
  return ({ id, email, externalId }) => {
    const keys = { email, id: id ?? undefined, external_id: externalId ?? undefined };
    const twins = Object.entries(keys).filter(
      ([name, key]) => key !== undefined && seen.has(`${name} ${key}`),
    );
    for (const [name, key] of Object.entries(keys)) seen.add(`${name} ${key}`);
    return twins.length === 0
      ? null
      : `${twins.map(([name]) => name).join(', ')}: Another record before this one has the same.`;
  };
}

function keysOf(users: ReadUser[]) {
  return {
    emails: users.map(({ email }) => email),
    ids: users.flatMap(({ id }) => (id === null ? [] : [id])),
    externalIds: users.flatMap(({ externalId }) => (externalId === null ? [] : [externalId])),
  };
}

function strengthsOf(users: ReadUser[]): Map<string, SignerKey | null> {
  const strengths = new Map<string, SignerKey | null>();
  for (const { hash } of users)
    if (hash !== null) strengths.set(hash.strength, hash.key ?? strengths.get(hash.strength) ?? null);
  return strengths;
}

function toRow({ isVerified, hash, ...user }: ReadUser, now: Date): UserRow {
  const createdAt = user.createdAt ?? now;
  return {
    ...user,
    id: user.id ?? uuidv7(),
    emailVerifiedAt: isVerified ? (user.emailVerifiedAt ?? now) : null,
    passwordHash: hash?.stored ?? null,
    bannedAt: user.status === 'banned' ? (user.bannedAt ?? now) : null,
    createdAt,
    updatedAt: user.updatedAt ?? createdAt,
  };
}
