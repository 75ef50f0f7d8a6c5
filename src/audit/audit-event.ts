/** What can happen to an account. A released name keeps its meaning. */
export type AuditKind =
  | 'account.created'
  | 'account.profile_changed'
  | 'account.deletion_asked'
  | 'account.deletion_undone'
  | 'account.deleted'
  | 'account.exported'
  | 'session.started'
  | 'session.ended'
  | 'session.disowned'
  | 'password.changed'
  | 'password.reset'
  | 'password.found_leaked'
  | 'email.verified'
  | 'email.changed'
  | 'email.change_undone';

export type NewAuditEvent = {
  kind: AuditKind;
  /** The account that it happened to; null if it happened to all. */
  userId: string | null;
  /** Who did it, if that is known: a user or a service client, by id. */
  actorId: string | null;
  sessionId?: string;
  device?: { ip: string | null; userAgent: string | null };
  /** Never a secret. It is taken away with the account, so it may be personal. */
  details?: Record<string, unknown>;
};

export type AuditEvent = {
  id: string;
  kind: string;
  happenedAt: Date;
  userId: string | null;
  actorId: string | null;
  sessionId: string | null;
  ip: string | null;
  userAgent: string | null;
  details: Record<string, unknown> | null;
};
