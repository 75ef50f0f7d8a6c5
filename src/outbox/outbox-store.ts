import type { Database, Transaction } from '../db/database.ts';
import { and, asc, desc, eq, inArray, isNotNull, isNull, lte, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { instantOfMicros, microsOf } from '../db/micros.ts';
import { outbox } from '../db/schema.ts';

export type NewMessage = { id: string; kind: string; payload: unknown };

/** A message that this replica alone may deliver, until its lease ends. */
export type ClaimedMessage = {
  id: string;
  payload: unknown;
  /** This one counted. */
  attempts: number;
  /** Since it was written, by the database's clock. */
  ageMs: number;
};

/** What became of a claimed message that could not be delivered. */
export type Failure = {
  id: string;
  /** As claimed: a message that was claimed again since is left alone. */
  attempts: number;
  /** Null: that was the last attempt. */
  delayMs: number | null;
  error: string;
};

/** How many messages of a kind there are. */
export type LaneCount = { kind: string; waiting: number; oldestAt: Date | null; dead: number };

export type DeadMessage = {
  id: string;
  kind: string;
  attempts: number;
  createdAt: Date;
  deadAt: Date;
  lastError: string | null;
  /** Where it is in the list, in the form of `DEAD_PLACE`. */
  place: string;
};

/** Messages of a kind whose payload has this value in one member. */
type MessagesAbout = { kind: string; member: string; value: string };

export type MessageName = { id: string; kind: string };

/** A part of the dead messages. */
export type DeadWish = { kind?: string | undefined; limit?: number; after?: string | undefined };

export type OutboxStore = ReturnType<typeof createOutboxStore>;

const MAX_LISTED = 1_000;

/** The instant to the microsecond, which a Date does not hold. */
const PLACE = sql<string>`${microsOf(outbox.deadAt)} || '.' || ${outbox.id}`;

function isAfter(place: string) {
  const [micros, id] = place.split('.');
  return sql`(${outbox.deadAt}, ${outbox.id}) < (${instantOfMicros(String(micros))}, ${id}::uuid)`;
}

/** The `outbox` table. Every time in it is the database's own. */
export function createOutboxStore(database: Database) {
  return {
    /** Writes a message that is due at once. */
    async insert(transaction: Transaction, message: NewMessage): Promise<void> {
      await transaction.database.insert(outbox).values({ ...message, notBefore: sql`now()` });
    },

    /** Writes a message that its writer has claimed already, for `leaseMs`. */
    async insertClaimed(transaction: Transaction, message: NewMessage, leaseMs: number): Promise<void> {
      const notBefore = sql`now() + ${inMs(leaseMs)}`;
      await transaction.database.insert(outbox).values({ ...message, attempts: 1, notBefore });
    },

    /**
     * Claims messages of one kind that are due, the longest due first. No two claims get the same one, however many
     * replicas ask at once, until its lease has ended.
     */
    async claim(kind: string, limit: number, leaseMs: number): Promise<ClaimedMessage[]> {
      // A query of its own and not a condition with `in`: that, PostgreSQL may run again, and lock more than the limit.
      const due = database.$with('due').as(
        database
          .select({ id: outbox.id })
          .from(outbox)
          .where(and(eq(outbox.kind, kind), isNull(outbox.deadAt), lte(outbox.notBefore, sql`now()`)))
          .orderBy(asc(outbox.notBefore))
          .limit(limit)
          .for('update', { skipLocked: true }),
      );
      return database
        .with(due)
        .update(outbox)
        .set({ attempts: sql`${outbox.attempts} + 1`, notBefore: sql`now() + ${inMs(leaseMs)}` })
        .from(due)
        .where(eq(outbox.id, due.id))
        .returning({
          id: outbox.id,
          payload: outbox.payload,
          attempts: outbox.attempts,
          ageMs: sql`extract(epoch from now() - ${outbox.createdAt}) * 1000`.mapWith(Number),
        });
    },

    /** Forgets messages that were delivered. */
    async delete(ids: string[]): Promise<void> {
      await database.delete(outbox).where(inArray(outbox.id, ids));
    },

    /** Lets messages wait, or puts them aside as dead. */
    async fail(failures: Failure[]): Promise<void> {
      // As text: a driver would take a parameter that it sees used as JSON for a value to encode.
      const rows = sql`jsonb_to_recordset(${JSON.stringify(failures)}::text::jsonb)`;
      await database.execute(sql`
        update ${outbox} set
          not_before = case when failed."delayMs" is null then ${outbox.notBefore}
            else now() + failed."delayMs" * interval '1 millisecond' end,
          dead_at = case when failed."delayMs" is null then now() end,
          last_error = failed.error
        from ${rows} as failed(id uuid, attempts integer, "delayMs" float8, error text)
        where ${outbox.id} = failed.id and ${outbox.attempts} = failed.attempts and ${outbox.deadAt} is null`);
    },

    /**
     * Every kind that has messages, by name.
     * @param atMost looks at no more messages than that, for those who ask again and again
     */
    async count(atMost = Number.MAX_SAFE_INTEGER): Promise<LaneCount[]> {
      const { kind, createdAt, deadAt } = outbox;
      const some = database.select({ kind, createdAt, deadAt }).from(outbox).limit(atMost).as('some');
      const isWaiting = sql`filter (where ${some.deadAt} is null)`;
      return database
        .select({
          kind: some.kind,
          waiting: sql`count(*) ${isWaiting}`.mapWith(Number),
          oldestAt: sql<Date | null>`min(${some.createdAt}) ${isWaiting}`.mapWith(outbox.createdAt),
          dead: sql`count(${some.deadAt})`.mapWith(Number),
        })
        .from(some)
        .groupBy(some.kind)
        .orderBy(asc(some.kind))
        .limit(MAX_LISTED);
    },

    /**
     * Messages after their last attempt, the latest first: of all kinds or of one, at most 1,000. Without payloads, which
     * may hold secrets.
     * @param after `place` of the last one that the caller has
     */
    async listDead({ kind, limit = MAX_LISTED, after }: DeadWish = {}): Promise<DeadMessage[]> {
      const rows = await database
        .select({
          id: outbox.id,
          kind: outbox.kind,
          attempts: outbox.attempts,
          createdAt: outbox.createdAt,
          deadAt: outbox.deadAt,
          lastError: outbox.lastError,
          place: PLACE,
        })
        .from(outbox)
        .where(
          and(
            isNotNull(outbox.deadAt),
            kind === undefined ? undefined : eq(outbox.kind, kind),
            after === undefined ? undefined : isAfter(after),
          ),
        )
        .orderBy(desc(outbox.deadAt), desc(outbox.id))
        .limit(limit);
      return rows as DeadMessage[];
    },

    /**
     * Makes dead messages due, with all their attempts before them.
     * @param id null: those that have been dead the longest, at most `limit`
     * @returns the id and the kind of each
     */
    async revive({ database }: Transaction, id: string | null, limit: number): Promise<MessageName[]> {
      const dead = database
        .select({ id: outbox.id })
        .from(outbox)
        .where(deadOnes(id))
        .orderBy(asc(outbox.deadAt))
        .limit(limit);
      return database
        .update(outbox)
        .set({ attempts: 0, deadAt: null, notBefore: sql`now()` })
        .where(and(isNotNull(outbox.deadAt), inArray(outbox.id, dead)))
        .returning({ id: outbox.id, kind: outbox.kind });
    },

    /** Deletes the messages of a kind whose payload has this value in one member. @returns how many */
    async withdraw({ database }: Transaction, about: MessagesAbout): Promise<number> {
      const withdrawn = await database.delete(outbox).where(isAbout(about)).returning({ id: outbox.id });
      return withdrawn.length;
    },

    /** Whether there are such messages, also dead ones. */
    async isPending({ database }: Transaction, about: MessagesAbout): Promise<boolean> {
      const found = await database.select({ id: outbox.id }).from(outbox).where(isAbout(about)).limit(1);
      return found.length > 0;
    },

    /**
     * Deletes at most `limit` messages of a kind that have been dead for this long.
     * @returns how many
     */
    async sweepDead(
      { database }: Transaction,
      { kind, keptMs }: { kind: string; keptMs: number },
      limit: number,
    ): Promise<number> {
      const old = database
        .select({ id: outbox.id })
        .from(outbox)
        .where(and(eq(outbox.kind, kind), lte(outbox.deadAt, sql`now() - ${inMs(keptMs)}`)))
        .limit(limit);
      const swept = await database.delete(outbox).where(inArray(outbox.id, old)).returning({ id: outbox.id });
      return swept.length;
    },

    /** Deletes a dead message. @returns its id and kind; undefined if there is none */
    async drop({ database }: Transaction, id: string): Promise<MessageName | undefined> {
      const [dropped] = await database
        .delete(outbox)
        .where(deadOnes(id))
        .returning({ id: outbox.id, kind: outbox.kind });
      return dropped;
    },
  };
}

function isAbout({ kind, member, value }: MessagesAbout) {
  return and(eq(outbox.kind, kind), eq(sql`${outbox.payload} ->> ${member}`, value));
}

function deadOnes(id: string | null) {
  return and(isNotNull(outbox.deadAt), id === null ? undefined : eq(outbox.id, id));
}
