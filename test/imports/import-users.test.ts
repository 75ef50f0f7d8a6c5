import t from 'tap';
import { type ImportParts, importUsers, type Verdict } from '../../src/imports/import-users.ts';
import type { ImportedUser, ImportOutcome } from '../../src/imports/imported-user.ts';
import type { Item } from '../../src/imports/item.ts';

/** An import of items as our own export writes them, and what it sent and reported. */
function setUp(parts: Partial<ImportParts> = {}) {
  const sent: number[] = [];
  const verdicts: Verdict[] = [];
  const run = (items: AsyncIterable<Item>) =>
    importUsers(items, {
      ...{ from: 'ndjson', withoutPasswords: false, skip: 0, ended: new AbortController().signal },
      context: { now: new Date(), firebasePrefix: null },
      send: async (users: ImportedUser[]): Promise<ImportOutcome[]> => {
        sent.push(users.length);
        return users.map(() => ({ outcome: 'created' }));
      },
      report: (verdict) => verdicts.push(verdict),
      ...parts,
    });
  return { run, sent, verdicts };
}

async function* items(count: number, more: object = {}): AsyncGenerator<Item> {
  for (let line = 1; line <= count; line += 1)
    yield { line, record: { email: `u${line}@b.example`, ...more } };
}

t.test('users go in batches, which large records make shorter', async (t) => {
  const small = setUp();
  t.same(await small.run(items(1_100)), { read: 1_100, isComplete: true, cause: null });
  t.same(small.sent, [500, 500, 100]);
  const large = setUp();
  await large.run(items(10, { metadata: { text: 'x'.repeat(1_000_000) } }));
  t.same(large.sent, [5, 5]);
});

t.test('every record is reported, in its order, and those without a user are not sent', async (t) => {
  const { run, sent, verdicts } = setUp();
  async function* mixed(): AsyncGenerator<Item> {
    yield { line: 1, problem: 'no JSON', raw: '{' };
    yield* items(2);
    yield { line: 4, record: {} };
  }
  t.match(await run(mixed()), { read: 4, isComplete: true });
  t.same(sent, [2]);
  t.same(
    verdicts.map(({ outcome }) => outcome),
    ['rejected', 'created', 'created', 'rejected'],
  );
  const none = setUp();
  async function* bad(): AsyncGenerator<Item> {
    yield { line: 1, problem: 'no JSON', raw: '{' };
  }
  t.match(await none.run(bad()), { read: 1 });
  t.same(none.sent, [], 'an empty batch is not sent');
});

t.test('those that were read before are passed over', async (t) => {
  const { run, sent } = setUp({ skip: 7 });
  t.match(await run(items(10)), { read: 10, isComplete: true });
  t.same(sent, [3]);
});

t.test('an answer that is missing is no user that was taken', async (t) => {
  const { run, verdicts } = setUp({ send: async () => [] });
  await run(items(1));
  t.match(verdicts, [{ outcome: 'rejected', reasons: [/no answer/] }]);
});

t.test('no more is read than one batch ahead', async (t) => {
  let read = 0;
  async function* counted(): AsyncGenerator<Item> {
    for await (const item of items(5_000)) {
      read += 1;
      yield item;
    }
  }
  const sizes: number[] = [];
  const { run } = setUp({
    send: async (users) => {
      sizes.push(read);
      return users.map(() => ({ outcome: 'unchanged' }));
    },
  });
  await run(counted());
  t.ok(sizes.every((size, batch) => size <= (batch + 2) * 500));
});

t.test('an error of sending or reading ends it, with the number of those before', async (t) => {
  const failure = new Error('away');
  const sending = setUp({ send: () => Promise.reject(failure) });
  t.same(await sending.run(items(600)), { read: 0, isComplete: false, cause: failure });
  async function* broken(): AsyncGenerator<Item> {
    yield* items(700);
    throw failure;
  }
  t.same(await setUp().run(broken()), { read: 500, isComplete: false, cause: failure });
});
