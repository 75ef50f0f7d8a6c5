import Type, { type Static } from 'typebox';

const Instant = Type.String({ description: 'RFC 3339, such as 2026-01-31T12:00:00Z' });
const OrNull = <Schema extends Type.TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

/**
 * A user as `doorward users export` writes one a line and `doorward users import` reads one; what other systems export is
 * brought into this form first. What is missing or null is not known. Rules that a schema cannot express, such as those of
 * addresses, are checked by the import.
 */
export const ImportedUser = Type.Object(
  {
    /** Kept if it is a UUID. Otherwise the account gets a new one, and this is its `external_id` if it has no other. */
    id: Type.Optional(OrNull(Type.String())),
    email: Type.String(),
    email_as_typed: Type.Optional(OrNull(Type.String())),
    email_verified: Type.Optional(OrNull(Type.Boolean())),
    email_verified_at: Type.Optional(OrNull(Instant)),
    /** In any form that `readForeignHash` knows; null or missing: the account has no password. */
    password_hash: Type.Optional(OrNull(Type.String())),
    display_name: Type.Optional(OrNull(Type.String())),
    locale: Type.Optional(OrNull(Type.String())),
    metadata: Type.Optional(OrNull(Type.Record(Type.String(), Type.Unknown()))),
    /** Names of roles that exist. */
    roles: Type.Optional(OrNull(Type.Array(Type.String()))),
    status: Type.Optional(OrNull(Type.Union([Type.Literal('active'), Type.Literal('banned')]))),
    banned_at: Type.Optional(OrNull(Instant)),
    banned_until: Type.Optional(OrNull(Instant)),
    ban_reason: Type.Optional(OrNull(Type.String())),
    /** The id in the system that the user comes from. */
    external_id: Type.Optional(OrNull(Type.String())),
    created_at: Type.Optional(OrNull(Instant)),
    updated_at: Type.Optional(OrNull(Instant)),
  },
  { additionalProperties: false },
);

export type ImportedUser = Static<typeof ImportedUser>;

/** `users.import-batch`: at most `MOST_IN_BATCH` records. Those that are not of the form are rejected, each by itself. */
export type ImportBatch = {
  records: ImportedUser[];
  /** Say what would happen, and change nothing. */
  dry_run: boolean;
};

/** What became of a record. `unchanged`: the account is here already; it is never overwritten. */
export type ImportOutcome = {
  outcome: 'created' | 'unchanged' | 'rejected';
  /** Sentences for the operator; only of a record that was rejected. */
  reasons?: string[];
};

/** One for each record, in their order. */
export type ImportResult = { results: ImportOutcome[] };

/** `users.export-batch`. */
export type ExportBatch = {
  /** The `next` of the batch before; null: from the start. */
  after: string | null;
  /** 1 to `MOST_IN_BATCH`. */
  limit: number;
};

/** `next`: null after the last one. */
export type ExportedBatch = { records: ImportedUser[]; next: string | null };

export const MOST_IN_BATCH = 1_000;
