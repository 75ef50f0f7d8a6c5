import { randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import { type Test, test } from 'tap';
import type { NewAuditEvent } from '../../src/audit/audit-event.ts';
import { createBackgroundEvents } from '../../src/audit/background-events.ts';
import { channels, listenTo } from '../../src/core/channels.ts';

const makeEvent = (): NewAuditEvent => ({ kind: 'sign_in.failed', userId: randomUUID(), actorId: null });

function setUp(t: Test, write: (events: NewAuditEvent[]) => Promise<void>) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const told: [number, string][] = [];
  let [lost, nowMs] = [0, 0];
  t.teardown(
    listenTo(channels.eventsLost, ({ count }) => {
      lost += count;
    }),
  );
  const events = createBackgroundEvents({
    write,
    onLost: (count, error) => void told.push([count, (error as Error).message]),
    now: () => nowMs,
  });
  /** The timer runs once, and what it began ends. */
  async function pass(ms: number): Promise<void> {
    nowMs += ms;
    mock.timers.tick(ms);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { events, told, lost: () => lost, pass };
}

test('events are written together after a second, and what waits when the server ends', async (t) => {
  const written: NewAuditEvent[][] = [];
  const { events, pass } = setUp(t, async (some) => void written.push(some));
  const [one, two, three] = [makeEvent(), makeEvent(), makeEvent()];
  events.note(one);
  events.note(two);
  await pass(999);
  t.same(written, []);
  await pass(1);
  t.same(written, [[one, two]]);
  await pass(1_000);
  t.equal(written.length, 1, 'nothing is written when nothing waits');
  events.note(three);
  await events.close();
  t.same(written, [[one, two], [three]]);
});

test('without events there is nothing to write, and nothing to end', async (t) => {
  const { events, told } = setUp(t, async () => void t.fail('written'));
  await events.close();
  t.same(told, []);
});

test('more than 200 events in a second are lost, and counted', async (t) => {
  const written: NewAuditEvent[] = [];
  const { events, told, lost, pass } = setUp(t, async (some) => void written.push(...some));
  for (let count = 0; count < 1_000; count += 1) events.note(makeEvent());
  t.equal(lost(), 800);
  await pass(1_000);
  t.equal(written.length, 200);
  t.same(told, [[800, 'more than 200 in a second']]);
});

test('a database that is down loses events without harm, and that is told once a minute', async (t) => {
  let isDown = true;
  const written: NewAuditEvent[] = [];
  const { events, told, lost, pass } = setUp(t, async (some) => {
    if (isDown) throw new Error('down');
    written.push(...some);
  });
  for (let seconds = 0; seconds < 61; seconds += 1) {
    events.note(makeEvent());
    await pass(1_000);
  }
  t.same(told, [
    [1, 'down'],
    [60, 'down'],
  ]);
  t.equal(lost(), 61);
  isDown = false;
  events.note(makeEvent());
  await pass(1_000);
  t.equal(written.length, 1);
});

test('while events are written, as many wait as always, and no second writer starts', async (t) => {
  const done = Promise.withResolvers<void>();
  const batches: number[] = [];
  const { events, lost, pass } = setUp(t, async (some) => {
    batches.push(some.length);
    await done.promise;
  });
  events.note(makeEvent());
  await pass(1_000);
  for (let count = 0; count < 201; count += 1) events.note(makeEvent());
  await pass(10_000);
  t.same(batches, [1]);
  t.equal(lost(), 1);
  done.resolve();
  await events.close();
  t.same(batches, [1, 200]);
});
