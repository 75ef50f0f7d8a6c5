import { test } from 'tap';
import { type OperationChannel, operations, publishCalls, traced } from '../../src/core/trace-channels.ts';

/** What is published until the test ends. */
function listen(t: { teardown(undo: () => void): void }, channel: OperationChannel): unknown[] {
  const heard: unknown[] = [];
  const start = (message: unknown) => void heard.push(['start', { ...(message as object) }]);
  const error = (message: unknown) => void heard.push(['error', (message as { error: unknown }).error]);
  const end = (message: unknown) => void heard.push(['end', (message as { name: string }).name]);
  channel.start.subscribe(start);
  channel.error.subscribe(error);
  channel.asyncEnd.subscribe(end);
  t.teardown(() => {
    channel.start.unsubscribe(start);
    channel.error.unsubscribe(error);
    channel.asyncEnd.unsubscribe(end);
  });
  return heard;
}

const failure = new Error('it failed');
const store = {
  find: async (id: number) => id * 2,
  fail: async () => {
    throw failure;
  },
};

test('publishes the start, the error and the end of each call, and nothing of its parameters', async (t) => {
  const heard = listen(t, operations.database);
  const published = publishCalls(operations.database, 'things.', store);
  t.equal(await published.find(21), 42);
  await t.rejects(published.fail(), failure);
  t.same(heard, [
    ['start', { name: 'things.find' }],
    ['end', 'things.find'],
    ['start', { name: 'things.fail' }],
    ['error', failure],
    ['end', 'things.fail'],
  ]);
});

test('publishes one call', async (t) => {
  const heard = listen(t, operations.redis);
  t.equal(await traced(operations.redis, 'get', async () => 1), 1);
  t.same(heard, [
    ['start', { name: 'get' }],
    ['end', 'get'],
  ]);
});

test('makes the same calls while no one listens', async (t) => {
  const published = publishCalls(operations.delivery, 'things.', store);
  t.notOk(operations.delivery.hasSubscribers);
  t.equal(await published.find(21), 42);
  await t.rejects(published.fail(), failure);
  t.equal(await traced(operations.delivery, 'mail', async () => 1), 1);
});
