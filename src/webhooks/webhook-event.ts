import type { AuditKind } from '../audit/audit-event.ts';

/** What services hear of users. A released name keeps its meaning. */
export type UserEvent =
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

/** What a change by an operator is to services, by the member of the account that it changed. */
const CHANGES: Record<string, UserEvent> = {
  email: 'user.email_changed',
  email_verified: 'user.email_verified',
  roles: 'user.roles_changed',
};

/** What the audit keeps of an act, as far as it matters here. */
export type Act = { kind: AuditKind; details?: Record<string, unknown> };

/** The types of messages by which an act is told, before any choice of the operator. */
export function eventTypesOf(act: Act): string[] {
  return [...userEventsOf(act), `audit.${act.kind}`];
}

function userEventsOf({ kind, details }: Act): UserEvent[] {
  if (kind === 'account.changed') return changesIn(details?.after);
  const event = USER_EVENTS[kind];
  return event === undefined ? [] : [event];
}

function changesIn(after: unknown): UserEvent[] {
  return Object.keys(Object(after)).flatMap((member) => CHANGES[member] ?? []);
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
