import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { readMessage } from '../../src/verifier/revocation-message.ts';
import { createRevokedTokens } from '../../src/verifier/revoked-tokens.ts';
import type { TokenClaims } from '../../src/verifier/token-claims.ts';
import { createTokenHash } from '../../src/verifier/token-hash.ts';
import { messageOf, type Revoked } from './support/revocations.ts';
import { claimsAt } from './support/tokens.ts';

const mismatch = { message: 'sends what does not continue what it sent before' };
const seconds = 1_800_000_000;

function setUp(hash?: ReturnType<typeof createTokenHash>, mostEntries?: number) {
  let steady = -5000;
  const revoked = createRevokedTokens(() => steady, hash, mostEntries);
  let sequence = 0;
  const take = (what: Revoked, members: Record<string, unknown> = {}) => {
    sequence += 1;
    const all = { cursor: `a.${sequence}`, from: revoked.cursor(), ...members };
    revoked.take(readMessage(JSON.stringify(messageOf(what, all))));
  };
  return {
    ...revoked,
    advance: (ms: number) => {
      steady += ms;
    },
    /** Takes in a message that continues what is held, unless it says otherwise. */
    take,
    /** Takes in as many sessions that have ended. */
    takeMany: (count: number) => take({}, { sessions: randomBytes(8 * count).toString('base64url') }),
    has: (claims: Partial<TokenClaims> = {}, kid = 'key-1') =>
      revoked.isRevoked({ ...claimsAt(seconds), jti: 'token-1', ...claims } as TokenClaims, kid),
  };
}

test('a token is void by its session, itself, its user, its client or its key', async (t) => {
  const cases: [what: Revoked, ofToken: Partial<TokenClaims>, isRevoked: boolean][] = [
    [{}, {}, false],
    [{ sessions: ['session-1'] }, {}, true],
    [{ sessions: ['session-2', 'token-1', 'user-1', 'browser'] }, {}, false],
    [{ sessions: ['session-1'] }, { sid: undefined as never }, false],
    [{ tokens: ['token-1'] }, {}, true],
    [{ tokens: ['session-1', 'token-2'] }, {}, false],
    [{ users: { 'user-1': 4 } }, { cv: 3 }, true],
    [{ users: { 'user-1': 4 } }, { cv: 4 }, false],
    [{ users: { 'user-1': 4 } }, { cv: 5 }, false],
    [{ users: { 'user-1': 1 } }, {}, true],
    [{ users: { 'user-1': 4 } }, { sid: undefined as never }, false],
    [{ users: { 'user-2': 4 } }, { cv: 3 }, false],
    [{ clients: { browser: seconds - 1 } }, {}, false],
    [{ clients: { browser: seconds } }, {}, true],
    [{ clients: { browser: seconds } }, { iat: seconds + 0.5 }, false],
    [{ clients: { browser: seconds } }, { sid: undefined as never }, true],
    [{ clients: { shop: seconds } }, { iat: -5 }, false],
    [{ keys: ['key-1'] }, {}, true],
    [{ keys: ['key-2'] }, {}, false],
  ];
  for (const hash of [createTokenHash(), createTokenHash({})])
    for (const [what, ofToken, isRevoked] of cases) {
      const { take, has } = setUp(hash);
      take(what);
      t.equal(await has(ofToken), isRevoked, JSON.stringify([what, ofToken]));
    }
});

test('hashes only what there are entries for', async (t) => {
  const hashed: string[] = [];
  const { later } = createTokenHash();
  const note = (text: string) => {
    hashed.push(text);
    return later(text);
  };
  const { take, has } = setUp({ later: note });
  await has();
  t.strictSame(hashed, []);
  take({ users: { 'user-2': 4 } });
  await has();
  t.strictSame(hashed, ['user-1']);
  take({ sessions: ['session-1'] });
  hashed.length = 0;
  t.ok(await has());
  t.strictSame(hashed, ['session-1'], 'and nothing more once it is known');
});

test('adds what continues what is held, and refuses what does not', async (t) => {
  const { take, has, cursor, forgetCursor } = setUp();
  t.equal(cursor(), null);
  t.throws(() => take({ sessions: ['session-1'] }, { from: 'a.0' }), mismatch, 'nothing is held');
  take({ sessions: ['session-1'] });
  take({ tokens: ['token-2'] });
  t.equal(cursor(), 'a.3');
  t.ok(await has());
  t.ok(await has({ sid: 'session-2', jti: 'token-2' }));
  t.throws(() => take({ sessions: ['session-3'] }, { from: 'a.2' }), mismatch);
  t.notOk(await has({ sid: 'session-3' }));
  forgetCursor();
  t.equal(cursor(), null);
  t.ok(await has(), 'what is held stays in force');
  t.throws(() => take({}, { from: 'a.3' }), mismatch);
});

test('a new beginning replaces what is held once all of it is here', async (t) => {
  const { take, has, cursor, forgetCursor, keys } = setUp();
  take({ sessions: ['old'], keys: ['old-key'] });
  take({ sessions: ['new-1'] }, { from: null, more: true });
  t.equal(cursor(), 'a.2');
  t.ok(await has({ sid: 'old' }));
  t.notOk(await has({ sid: 'new-1' }));
  take({ sessions: ['new-2'] }, { more: true });
  t.ok(await has({ sid: 'old' }));
  t.strictSame(keys(), ['old-key']);
  take({ sessions: ['new-3'] });
  t.notOk(await has({ sid: 'old' }));
  t.strictSame(keys(), []);
  for (const sid of ['new-1', 'new-2', 'new-3']) t.ok(await has({ sid }), sid);
  take({ sessions: ['half'] }, { from: null, more: true });
  forgetCursor();
  take({ sessions: ['whole'] }, { from: null });
  t.strictSame([await has({ sid: 'half' }), await has({ sid: 'whole' })], [false, true]);
});

test('an entry with a lower version, or fewer seconds, never lowers what is held', async (t) => {
  const { take, has } = setUp();
  take({ users: { 'user-1': 4 }, clients: { shop: seconds } });
  take({ users: { 'user-1': 2 }, clients: { shop: seconds - 9 } });
  t.ok(await has({ cv: 3 }));
  t.ok(await has({ client_id: 'shop' }));
  take({ users: { 'user-1': 5 } });
  t.ok(await has({ cv: 4 }));
});

test('entries are dropped when the window is over, by a clock that nobody sets', async (t) => {
  const all = { sessions: ['session-1'], keys: ['key-1'] };
  for (const [afterMs, isHeld] of [
    [999_999, true],
    [1_001_000, false],
  ] as const) {
    const { take, has, advance, sweep, keys } = setUp();
    take(all, { window: 1000 });
    advance(600_000);
    take({ tokens: ['token-1'] }, { window: 1000 });
    advance(afterMs - 600_000);
    sweep();
    t.strictSame([await has({ jti: 'x' }), keys().length], [isHeld, isHeld ? 1 : 0]);
    t.ok(await has({ sid: 'x' }, 'x'));
    advance(602_000);
    sweep();
    t.notOk(await has({ sid: 'x' }, 'x'));
  }
});

test('however many there are and however seldom it looks, all are dropped within ten minutes', (t) => {
  for (const [entries, everyMs] of [
    [500_000, 2000],
    [100, 100],
  ] as const) {
    const { advance, sweep, takeMany } = setUp(undefined, entries);
    takeMany(entries);
    sweep();
    advance(1_920_000);
    for (let ms = 0; ms < 600_000; ms += everyMs) {
      advance(everyMs);
      sweep();
    }
    t.doesNotThrow(() => takeMany(entries), `${entries}`);
  }
  t.end();
});

test('after a long time without a look, it does not drop all at once, which would take long', (t) => {
  const { advance, sweep, takeMany } = setUp(undefined, 50_000);
  takeMany(50_000);
  advance(86_400_000);
  sweep();
  t.throws(() => takeMany(10_000), { message: 'sends more than 50000 entries' });
  t.end();
});

test('more than can be kept is refused, of whatever kind', (t) => {
  const { take } = setUp(undefined, 4);
  take({ sessions: ['s1'], tokens: ['t1'], users: { u1: 1 }, clients: { c1: 1 } });
  t.throws(() => take({ keys: ['k1'] }), { message: 'sends more than 4 entries' });
  take({ sessions: ['s1', 's2'] }, { from: null });
  t.throws(() => take({ tokens: ['t1', 't2', 't3'] }), { message: 'sends more than 4 entries' });
  t.end();
});
