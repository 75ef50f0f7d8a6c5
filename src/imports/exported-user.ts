import { writeForeignHash } from '../passwords/foreign-hash.ts';
import type { SignerKey } from '../passwords/stored-hash.ts';
import type { UserRow } from './import-store.ts';
import type { ImportedUser } from './imported-user.ts';

/**
 * An account in the format of imports, with all of its members.
 * @param keys signer keys by strengths: the hash is written so that it can be checked without this database
 */
export function toImportedUser(row: UserRow, keys: Map<string, SignerKey | null>): ImportedUser {
  return {
    id: row.id,
    email: row.email,
    email_as_typed: row.emailAsTyped,
    email_verified: row.emailVerifiedAt !== null,
    email_verified_at: iso(row.emailVerifiedAt),
    password_hash: row.passwordHash && writeForeignHash(row.passwordHash, keys),
    display_name: row.displayName,
    locale: row.locale,
    metadata: row.metadata,
    roles: row.roles,
    status: row.status,
    banned_at: iso(row.bannedAt),
    banned_until: iso(row.bannedUntil),
    ban_reason: row.banReason,
    external_id: row.externalId,
    created_at: iso(row.createdAt),
    updated_at: iso(row.updatedAt),
  };
}

function iso(instant: Date | null): string | null {
  return instant === null ? null : instant.toISOString();
}
