import type { AuditKind } from '../audit/audit-event.ts';

/** What services hear of users. A released name keeps its meaning. */
type UserEvent =
  | 'user.created'
  | 'user.email_verified'
  | 'user.email_changed'
  | 'user.banned'
  | 'user.unbanned'
  | 'user.roles_changed'
  | 'user.deleted';

/** The act that each of them tells of. */
const USER_EVENTS: Partial<Record<AuditKind, UserEvent>> = {
  'account.created': 'user.created',
  'email.verified': 'user.email_verified',
  'email.changed': 'user.email_changed',
  'email.change_undone': 'user.email_changed',
  'account.banned': 'user.banned',
  'account.unbanned': 'user.unbanned',
  'account.roles_changed': 'user.roles_changed',
  'account.deleted': 'user.deleted',
};

/** What the audit keeps of an act, as far as it matters here. */
export type Act = { kind: AuditKind; details?: Record<string, unknown> | undefined };

/** The types of messages by which an act is told, before any choice of the operator. */
export function eventTypesOf(act: Act): string[] {
  return [...userEventsOf(act), `audit.${act.kind}`];
}

function userEventsOf({ kind, details }: Act): UserEvent[] {
  const event = provesAddress({ kind, details }) ? 'user.email_verified' : USER_EVENTS[kind];
  return event === undefined ? [] : [event];
}

/** Two acts that do so among others: a code that came by mail sets a password, and an operator says that it is verified. */
function provesAddress({ kind, details }: Act): boolean {
  if (kind === 'password.reset') return details?.was_verified === false;
  return kind === 'account.changed' && Object(details?.after).email_verified === true;
}

/**
 * Whether an operator wants messages of a type.
 * @param patterns whole types, beginnings such as `audit.session.*`, or `*` for all
 */
export function isWanted(type: string, patterns: string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern,
  );
}
