import type { AuditPage, AuditQuery, ListedEvent } from '../audit/audit-listing.ts';
import { instantOfId, leastIdAt } from '../core/time-in-id.ts';

const READ_AT_ONCE = 1_000;
/**
 * An event has its id, with the time of the database, when it is written, and is seen when that is committed: by then there
 * may be newer ones. A transaction has two seconds.
 */
const LATE_MS = 30_000;

type ListEvents = (query: AuditQuery) => Promise<AuditPage>;

/** The events that match, the oldest first, a part at a time. @param query `after` is where it goes on */
export async function* eventsFrom(list: ListEvents, query: AuditQuery): AsyncGenerator<ListedEvent[]> {
  let after = query.after;
  for (;;) {
    const { events, next } = await list({ ...query, after, order: 'oldest', limit: READ_AT_ONCE });
    yield events;
    if (next === null) return;
    after = next;
  }
}

/** The newest events that match, in the order in which they happened. */
async function lastEvents(list: ListEvents, query: AuditQuery, count: number): Promise<ListedEvent[]> {
  if (count === 0) return [];
  const { events } = await list({ ...query, order: 'newest', limit: count });
  return events.toReversed();
}

/**
 * The last events, and then those that come, each once, including those that become visible late.
 * @param count of the last events
 * @param wait resolves when it is time to look again; false: the end
 */
export async function* followEvents(
  list: ListEvents,
  query: AuditQuery,
  count: number,
  wait: () => Promise<boolean>,
): AsyncGenerator<ListedEvent[]> {
  const [newest] = (await list({ order: 'newest', limit: 1 })).events;
  let lastMs = newest === undefined ? 0 : instantOfId(newest.id);
  const known = new Set<string>();
  const note = (events: ListedEvent[]) => {
    for (const { id } of events) known.add(id);
    lastMs = Math.max(lastMs, ...events.map(({ id }) => instantOfId(id)));
  };
  const look = () => eventsFrom(list, { ...query, after: idBefore(lastMs) });
  // What is there already. The last events are read after that, so that none is left out between the two.
  for await (const events of look()) note(events);
  const last = await lastEvents(list, query, count);
  note(last);
  yield last;
  while (await wait()) {
    for await (const events of look()) {
      const fresh = events.filter(({ id }) => !known.has(id));
      note(fresh);
      yield fresh;
    }
    for (const id of known) if (id < idBefore(lastMs)) known.delete(id);
  }
}

/** The least id of what may still become visible. */
function idBefore(ms: number): string {
  return leastIdAt(ms - LATE_MS);
}
