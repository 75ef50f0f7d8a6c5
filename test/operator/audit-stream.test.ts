import { test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import type { AuditQuery, ListedEvent } from '../../src/audit/audit-listing.ts';
import { eventsFrom, followEvents } from '../../src/operator/audit-stream.ts';

const START_MS = Date.parse('2026-11-27T12:00:00Z');

/** The record, as the server lists it, and what others write to it. */
function setUp() {
  let events: ListedEvent[] = [];
  const asked: AuditQuery[] = [];
  const add = (seconds: number, kind = 'session.started') => {
    const msecs = START_MS + seconds * 1_000;
    const event = { id: uuidv7({ msecs }), kind } as ListedEvent;
    events = [...events, event].sort((one, other) => (one.id < other.id ? -1 : 1));
    return event;
  };
  const list = async (query: AuditQuery) => {
    asked.push(query);
    const { after, kind, order, limit = 50 } = query;
    const found = events.filter((event) => kind === undefined || event.kind === kind);
    const matching =
      order === 'newest' ? found.toReversed() : found.filter(({ id }) => after === undefined || id > after);
    const part = matching.slice(0, limit);
    return { events: part, next: part.length < limit ? null : String(part.at(-1)?.id) };
  };
  return { add, list, asked, all: () => events };
}

/** Follows while the test does something before each look; ends after the last of these. */
async function follow(
  list: ReturnType<typeof setUp>['list'],
  count: number,
  turns: (() => unknown)[],
  query: AuditQuery = {},
) {
  const seen: ListedEvent[] = [];
  const left = [...turns];
  const wait = async () => {
    const turn = left.shift();
    turn?.();
    return turn !== undefined;
  };
  for await (const events of followEvents(list, query, count, wait)) seen.push(...events);
  return seen;
}

test('all events are read in parts, and an export goes on where another has ended', async (t) => {
  const { add, list, all, asked } = setUp();
  for (let count = 0; count < 2_001; count += 1) add(count);
  const parts: ListedEvent[][] = [];
  for await (const events of eventsFrom(list, {})) parts.push(events);
  t.same(
    parts.map(({ length }) => length),
    [1_000, 1_000, 1],
  );
  t.same(parts.flat(), all());
  const rest: ListedEvent[] = [];
  for await (const events of eventsFrom(list, { after: all().at(-3)?.id })) rest.push(...events);
  t.same(rest, all().slice(-2));
  t.ok(asked.every(({ limit }) => limit === 1_000));
});

test('the last events come in the order in which they happened', async (t) => {
  const { add, list } = setUp();
  const [, two, three] = [add(1), add(2), add(3)];
  t.same(await follow(list, 2, []), [two, three]);
  t.same(await follow(list, 0, []), []);
});

test('who follows sees what comes, each event once, and not what was there before', async (t) => {
  const { add, list } = setUp();
  const shown = [add(1), add(2)].slice(1);
  const fresh: ListedEvent[] = [];
  const turn = (seconds: number) => () => void fresh.push(add(seconds));
  const seen = await follow(list, 1, [turn(3), () => {}, turn(4), turn(100), turn(101)]);
  t.same(seen, [...shown, ...fresh]);
});

test('an event that becomes visible after newer ones is not missed', async (t) => {
  const { add, list } = setUp();
  add(100);
  const late: ListedEvent[] = [];
  const seen = await follow(list, 0, [() => late.push(add(120)), () => late.push(add(95), add(91))]);
  t.same(new Set(seen), new Set(late));
  t.equal(seen.length, 3);
});

test('who follows an empty record, or filters, sees all that matches from then on', async (t) => {
  const { add, list } = setUp();
  const first = await follow(list, 10, [() => add(1)]);
  t.equal(first.length, 1);
  const banned: ListedEvent[] = [];
  const turn = () => {
    add(2);
    banned.push(add(3, 'account.banned'));
  };
  t.same(await follow(list, 0, [turn], { kind: 'account.banned' }), banned);
});
