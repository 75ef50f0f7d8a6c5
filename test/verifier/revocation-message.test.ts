import fc from 'fast-check';
import { test } from 'tap';
import {
  entriesIn,
  InvalidRevocations,
  readBeat,
  readMessage,
} from '../../src/verifier/revocation-message.ts';
import { hashOf, messageOf } from './support/revocations.ts';

const invalid = { kind: 'content', message: /^sends / };
const asOf = 1_800_000_000_000;
const hash = hashOf('user-1').toString('base64url');
const good = messageOf({
  sessions: ['s1', 's2'],
  tokens: ['t1'],
  users: { u1: 4 },
  clients: { c1: 5 },
  keys: ['k'],
});
const read = (members: Record<string, unknown>) => readMessage(JSON.stringify({ ...good, ...members }));

test('reads what the feed sends', (t) => {
  const message = readMessage(
    JSON.stringify({ ...good, age: 0.12, more: true, overflow: true, new_member: 1 }),
  );
  t.match(message, {
    ...{
      cursor: 'a.1',
      from: null,
      asOfMs: asOf,
      ageMs: 120,
      windowSeconds: 1920,
      more: true,
      overflow: true,
    },
    keys: ['k'],
  });
  t.strictSame(Buffer.from(message.sessions), Buffer.concat([hashOf('s1'), hashOf('s2')]));
  t.strictSame(Buffer.from(message.tokens), hashOf('t1'));
  t.strictSame([Buffer.from(message.users.hashes), message.users.values], [hashOf('u1'), [4]]);
  t.strictSame([Buffer.from(message.clients.hashes), message.clients.values], [hashOf('c1'), [5]]);
  t.equal(entriesIn(message), 6);
  t.match(readMessage(JSON.stringify(good)), { more: false, overflow: false });
  t.match(readMessage(JSON.stringify(messageOf({}, { from: '7b.184100' }))), { from: '7b.184100' });
  t.strictSame(readBeat(JSON.stringify({ as_of: asOf, age: 1.5 })), { asOfMs: asOf, ageMs: 1500 });
  t.end();
});

test('accepts the last value of each bound, and refuses the next', (t) => {
  const day = Math.floor(asOf / 1000) + 86_400;
  const bounds: [member: string, last: unknown, next: unknown][] = [
    ['cursor', `${'a'.repeat(62)}.1`, `${'a'.repeat(63)}.1`],
    ['window', 604_800, 604_801],
    ['window', 1, 0],
    ['as_of', 2 ** 53 - 1, 2 ** 53],
    ['age', 0, -0.001],
    ['users', [[hash, 2 ** 31]], [[hash, 2 ** 31 + 1]]],
    ['users', [[hash, 1]], [[hash, 0]]],
    ['clients', [[hash, day]], [[hash, day + 1]]],
    ['keys', Array(1000).fill('k'), Array(1001).fill('k')],
    ['keys', ['k'.repeat(256)], ['k'.repeat(257)]],
  ];
  for (const [member, last, next] of bounds) {
    t.ok(read({ [member]: last }), member);
    t.throws(() => read({ [member]: next }), invalid, member);
  }
  t.throws(() => read({ as_of: 2 ** 53 - 1, clients: [[hash, 2 ** 32]] }), invalid, 'more than 32 bits');
  t.end();
});

test('refuses anything that is not exactly as it must be, and says which member it is', (t) => {
  const bad: [member: string, values: unknown[]][] = [
    ['cursor', [undefined, null, 7, '', 'a', 'a.', '.1', 'a.b', 'a.1 ', 'a.1\n', 'a b.1', 'ä.1', ['a.1']]],
    ['from', [undefined, 7, '', 'a', {}]],
    ['as_of', [undefined, null, '1', 1.5, -1, 0, 1e300]],
    ['age', [undefined, null, '1', {}]],
    ['window', [undefined, null, '1920', 1.5, -1]],
    ['more', [null, 1, 'true']],
    ['overflow', [null, 0, 'false']],
    // 7 and 9 bytes; padding; the other alphabet; bits that no encoder sets; a character beyond ASCII; a cut off digit.
    [
      'sessions',
      [undefined, null, [], 'AAAAAAAAAA', 'AAAAAAAAAAAA', 'AAAAAAAAAAA=', 'AAAAA+AAAAA', 'AAAAAAAAAAB'],
    ],
    [
      'tokens',
      [undefined, 7, 'AAAAA/AAAAA', 'AAAA\nAAAAAAA', 'AAAAAAAAAĀA', 'AAAAAAAAAAAAA', 'A', ' AAAAAAAAAAA'],
    ],
    [
      'users',
      [undefined, null, {}, '', [hash], [[hash]], [[hash, 1, 1]], [[hash, '1']], [[hash, 1.5]], [[1, 1]]],
    ],
    ['users', [[['', 1]], [['A'.repeat(22), 1]], [['AAAAAAAAAAB', 1]], [{ 0: hash, 1: 1, length: 2 }]]],
    ['clients', [undefined, [[hash, -1]], [[hash, Number.MAX_SAFE_INTEGER]], [null]]],
    ['keys', [undefined, null, 'k', [''], [7], [['k']], ['k k'], ['k\n'], [null]]],
  ];
  for (const [member, values] of bad)
    for (const value of values)
      t.throws(() => read({ [member]: value }), {
        kind: 'content',
        message: `sends a message whose ${member} is not valid`,
      });
  t.throws(() => readMessage('<html>'), { message: 'sends something that is not JSON' });
  for (const text of ['[]', 'null', '7', '"x"'])
    t.throws(() => readMessage(text), { message: 'sends something that is not a JSON object' });
  t.throws(() => readBeat('{"as_of":1}'), { message: 'sends a message whose age is not valid' });
  t.throws(() => readMessage(JSON.stringify(messageOf({}, { more: true }))), {
    message: 'sends an empty page, and says "more"',
  });
  t.end();
});

test('whatever JSON says, it is a message or its own error', (t) => {
  const mutated = fc.record({
    member: fc.constantFrom(...Object.keys(good)),
    value: fc.oneof(fc.jsonValue(), fc.base64String(), fc.integer()),
  });
  fc.assert(
    fc.property(mutated, ({ member, value }) => {
      try {
        const { sessions, users } = read({ [member]: value });
        return sessions.length % 8 === 0 && users.hashes.length === users.values.length * 8;
      } catch (error) {
        return error instanceof InvalidRevocations;
      }
    }),
    { numRuns: 1000 },
  );
  t.end();
});

test('decodes any hashes to the bytes that were encoded', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { maxLength: 20 }), (hashes) => {
      const bytes = Buffer.concat(hashes);
      return bytes.equals(read({ sessions: bytes.toString('base64url') }).sessions);
    }),
  );
  t.end();
});
