/** A user as operators and their programs see them. Instants are RFC 3339 in UTC. */
export type AdminUser = {
  id: string;
  /** Canonical. */
  email: string;
  email_as_typed: string;
  email_verified: boolean;
  email_verified_at: string | null;
  display_name: string | null;
  locale: string | null;
  metadata: Record<string, unknown>;
  roles: string[];
  status: 'active' | 'banned';
  banned_at: string | null;
  banned_until: string | null;
  ban_reason: string | null;
  has_password: boolean;
  external_id: string | null;
  created_at: string;
  updated_at: string;
  deletion_due_at: string | null;
};

/** A user's row, without the password. */
export type ListedUser = {
  id: string;
  email: string;
  emailAsTyped: string;
  emailVerifiedAt: Date | null;
  displayName: string | null;
  locale: string | null;
  metadata: Record<string, unknown>;
  roles: string[];
  status: 'active' | 'banned';
  bannedAt: Date | null;
  bannedUntil: Date | null;
  banReason: string | null;
  hasPassword: boolean;
  externalId: string | null;
  createdAt: Date;
  updatedAt: Date;
  deletionDueAt: Date | null;
};

/** A ban whose time is over is not shown, also before the row says so. */
export function toAdminUser(user: ListedUser): AdminUser {
  const isBanned = user.status === 'banned';
  return {
    id: user.id,
    email: user.email,
    email_as_typed: user.emailAsTyped,
    email_verified: user.emailVerifiedAt !== null,
    email_verified_at: instant(user.emailVerifiedAt),
    display_name: user.displayName,
    locale: user.locale,
    metadata: user.metadata,
    roles: user.roles,
    status: user.status,
    banned_at: isBanned ? instant(user.bannedAt) : null,
    banned_until: isBanned ? instant(user.bannedUntil) : null,
    ban_reason: isBanned ? user.banReason : null,
    has_password: user.hasPassword,
    external_id: user.externalId,
    created_at: user.createdAt.toISOString(),
    updated_at: user.updatedAt.toISOString(),
    deletion_due_at: instant(user.deletionDueAt),
  };
}

function instant(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
