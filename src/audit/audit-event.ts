/** What can happen. A released name keeps its meaning. */
export type AuditKind =
  | 'sign_in.failed'
  | 'account.created'
  | 'account.profile_changed'
  | 'account.changed'
  | 'account.banned'
  | 'account.unbanned'
  | 'account.roles_changed'
  | 'account.deletion_asked'
  | 'account.deletion_undone'
  | 'account.deleted'
  | 'account.exported'
  | 'session.started'
  | 'session.ended'
  | 'session.disowned'
  | 'password.changed'
  | 'password.reset'
  | 'password.reset_forced'
  | 'password.found_leaked'
  | 'email.verified'
  | 'email.changed'
  | 'email.change_undone'
  | 'role.changed'
  | 'role.removed'
  | 'client.added'
  | 'client.changed'
  | 'client.secret_rotated'
  | 'client.disabled'
  | 'client.enabled'
  | 'key.rotated'
  | 'key.revoked'
  | 'outbox.retried'
  | 'outbox.dropped'
  | 'users.imported'
  | 'users.exported';

/** What an actor can be: a user or a service client with a token, whoever runs a command on the machine, or a timer. */
type ActorKind = 'user' | 'client' | 'operator' | 'server';

/** Where a request came from, as far as it shows, and its id in the log. */
type DeviceOfEvent = { ip: string | null; userAgent: string | null; requestId?: string | undefined };

/** Who does something, for the record. */
export type Actor = {
  kind: ActorKind;
  /** Of a user or a client; null for the others. */
  id: string | null;
  /** What a user or a client may do; nothing if left out. Not for the record. */
  scopes?: string[];
  sessionId?: string;
  device?: DeviceOfEvent;
  /** Of the request, as in the log. */
  requestId?: string | undefined;
};

/** Whoever runs a command on the machine. */
export const OPERATOR: Actor = { kind: 'operator', id: null };

/** What a timer does. */
export const SERVER: Actor = { kind: 'server', id: null };

export type NewAuditEvent = {
  kind: AuditKind;
  /** The account that it happened to; null if it happened to all. */
  userId: string | null;
  /** Who did it, if that is known: a user or a service client, by id. */
  actorId: string | null;
  /** If left out, whoever has an id is a user. */
  actorKind?: ActorKind;
  /** If left out, that of the device. */
  requestId?: string | undefined;
  sessionId?: string;
  device?: DeviceOfEvent;
  /** Never a secret. It is taken away with the account, so it may be personal. */
  details?: Record<string, unknown>;
};

/** An event as it was written. */
export type RecordedEvent = NewAuditEvent & { id: string };

export type AuditEvent = {
  id: string;
  kind: string;
  happenedAt: Date;
  userId: string | null;
  actorId: string | null;
  actorKind: string | null;
  requestId: string | null;
  sessionId: string | null;
  ip: string | null;
  userAgent: string | null;
  details: Record<string, unknown> | null;
};

/** An actor as the members of an event. */
export function byActor({ kind, id, scopes: _, ...request }: Actor) {
  return { actorKind: kind, actorId: id, ...request };
}
