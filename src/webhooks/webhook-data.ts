import type { AuditEvent } from '../audit/audit-event.ts';
import type { UserFacts } from './webhook-store.ts';

/** `data` of a message of the audit: the event as `GET /admin/audit` shows it. */
export function auditData(event: AuditEvent) {
  return {
    id: event.id,
    kind: event.kind,
    happened_at: event.happenedAt.toISOString(),
    user_id: event.userId,
    actor: { kind: event.actorKind, id: event.actorId },
    session_id: event.sessionId,
    ip: event.ip,
    user_agent: event.userAgent,
    request_id: event.requestId,
    details: event.details,
  };
}

/** `data` of a message about a user: the account as it is when the message is sent. */
export function userData(user: UserFacts) {
  return {
    user: {
      id: user.id,
      email: user.email,
      email_verified: user.emailVerifiedAt !== null,
      status: user.status,
      banned_until: user.bannedUntil?.toISOString() ?? null,
      roles: user.roles,
      external_id: user.externalId,
    },
    as_of: user.asOf.toISOString(),
  };
}
