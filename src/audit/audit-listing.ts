import { validate as isUuid } from 'uuid';
import { type FieldError, validationFailed } from '../core/errors.ts';
import { NO_INSTANT, parseInstant } from '../core/instant.ts';
import type { AuditEvent } from './audit-event.ts';

export const MOST_LISTED = 1_000;
/** What stands for an actor without an id. */
const ACTORS_WITHOUT_ID = ['operator', 'server'] as const;
type ActorWithoutId = (typeof ACTORS_WITHOUT_ID)[number];

/** Which events to list, as operators and their programs say it. Instants are RFC 3339. */
export type AuditQuery = {
  /** A user or a service client by id, or `operator` or `server`. */
  actor?: string | undefined;
  /** The account that it happened to. */
  subject?: string | undefined;
  kind?: string | undefined;
  since?: string | undefined;
  /** The first instant that is too late. */
  until?: string | undefined;
  /** The id of an event: the list goes on behind it. */
  after?: string | undefined;
  limit?: number | undefined;
  order?: 'newest' | 'oldest' | undefined;
};

/** Which events to read. */
export type AuditWish = {
  actorId?: string;
  actorKind?: ActorWithoutId;
  userId?: string;
  kind?: string;
  since?: Date;
  until?: Date;
  after?: string;
  limit: number;
  isNewestFirst: boolean;
};

/** An event, as operators and their programs see it. */
export type ListedEvent = {
  id: string;
  kind: string;
  happened_at: string;
  user_id: string | null;
  actor: { kind: string | null; id: string | null };
  session_id: string | null;
  ip: string | null;
  user_agent: string | null;
  request_id: string | null;
  details: Record<string, unknown> | null;
};

/** `next` is where the list goes on, null at its end. */
export type AuditPage = { events: ListedEvent[]; next: string | null };

/** @throws AppError `validation_failed` with all that is wrong */
export function readAuditQuery(query: AuditQuery): AuditWish {
  const { actor, subject, kind, after, limit = 50, order = 'newest' } = query;
  const errors: FieldError[] = [];
  const check = (name: keyof AuditQuery, isGood: boolean, message: string) => {
    if (query[name] !== undefined && !isGood) errors.push({ path: `/${name}`, message });
  };
  const [since, until] = [parseInstant(query.since ?? ''), parseInstant(query.until ?? '')];
  check('actor', /^[!-~]{1,256}$/.test(String(actor)), 'is not the id of a user or a client');
  check('kind', /^[a-z_.]{1,64}$/.test(String(kind)), 'is not a kind of event, such as session.started');
  check('subject', isUuid(subject), 'is not the id of a user');
  check('since', since !== null, NO_INSTANT);
  check('until', until !== null, NO_INSTANT);
  check('after', isUuid(after), 'is not the `next` of a part of this list');
  check(
    'limit',
    Number.isInteger(limit) && limit >= 1 && limit <= MOST_LISTED,
    `is not from 1 to ${MOST_LISTED}`,
  );
  if (errors.length > 0) throw validationFailed(errors);
  return {
    ...(actor !== undefined && (isWithoutId(actor) ? { actorKind: actor } : { actorId: actor })),
    ...(subject !== undefined && { userId: subject }),
    ...(kind !== undefined && { kind }),
    ...(since !== null && { since }),
    ...(until !== null && { until }),
    ...(after !== undefined && { after }),
    ...{ limit, isNewestFirst: order === 'newest' },
  };
}

const isWithoutId = (actor: string): actor is ActorWithoutId =>
  ACTORS_WITHOUT_ID.some((kind) => kind === actor);

/** In the names of the API. */
export function toListedEvent(event: AuditEvent): ListedEvent {
  const { id, kind, happenedAt, userId, actorKind, actorId, sessionId, ip, userAgent, requestId } = event;
  return {
    ...{ id, kind, happened_at: happenedAt.toISOString(), user_id: userId },
    actor: { kind: actorKind, id: actorId },
    ...{ session_id: sessionId, ip, user_agent: userAgent, request_id: requestId, details: event.details },
  };
}
