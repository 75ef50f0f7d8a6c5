/** The example for Python, with answers that a server rarely gives, and with Doorward's own. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { build, signUp, type TestApp } from '../helper.ts';
import { mintToken } from '../support/clients.ts';
import { startFakeFeed } from '../support/fake-feed.ts';
import { eventually } from '../support/gateway-world.ts';
import { startPythonFollower } from '../support/python-revocations.ts';
import { createSigner } from '../verifier/support/tokens.ts';

t.setTimeout(300_000);

const [signer, other] = [await createSigner(), await createSigner()];
const feed = await startFakeFeed(t);
const python = await startPythonFollower(t, feed.url, 'Basic credentials');
const now = Math.floor(Date.now() / 1000);
/** Most of an answer. */
const EMPTY = { window: 1920, age: 0, sessions: '', tokens: '', users: [], clients: [], keys: [] };

function mint(claims: Record<string, unknown> = {}, by = signer): Promise<string> {
  return by.sign({ iat: now, sub: 'ada', sid: crypto.randomUUID(), cv: 3, ...claims });
}

async function isRevoked(token: string): Promise<boolean> {
  return (await python.says(token)).revoked;
}

async function becomesRevoked(claims: Record<string, unknown>): Promise<void> {
  const token = await mint(claims);
  await eventually(() => isRevoked(token), JSON.stringify(claims));
}

async function lag(): Promise<number> {
  return (await python.says(await mint())).lag ?? Number.POSITIVE_INFINITY;
}

t.test('knows the tokens of each kind that the feed names, and no other', async (t) => {
  const client = { sub: 'service', client_id: 'service', sid: undefined, cv: undefined };
  const kinds = {
    'of a session': [await mint({ sid: 'one' }), await mint({ sid: 'another' })],
    'by its id': [await mint({ jti: 'one' }), await mint({ jti: 'another' })],
    'of an earlier version': [await mint({ sub: 'bob' }), await mint({ sub: 'bob', cv: 4 })],
    'without a version': [await mint({ sub: 'bob', cv: undefined }), await mint({ cv: undefined })],
    'of a client': [await mint({ ...client, iat: now - 10 }), await mint({ ...client, iat: now - 9 })],
    'of a key': [await mint({}, other), await mint()],
    'of no session': [
      await mint({ sid: 'one', sub: 'bob', cv: 9 }),
      await mint({ sid: undefined, sub: 'bob', cv: 1 }),
    ],
  };
  for (const token of Object.values(kinds).flat()) t.equal(await isRevoked(token), false);
  feed.revoke({ sessions: ['two', 'one'], tokens: ['one'], users: [['bob', 4]] });
  feed.revoke({ clients: [['service', now - 10]], keys: [other.kid] });
  await becomesRevoked({ ...client, iat: now - 10 });
  for (const [what, [bad = '', good = '']] of Object.entries(kinds)) {
    t.equal(await isRevoked(bad), true, what);
    t.equal(await isRevoked(good), false, what);
  }
  feed.revoke({ users: [['bob', 2]], sessions: ['three'] });
  await becomesRevoked({ sid: 'three' });
  t.equal(await isRevoked(await mint({ sub: 'bob' })), true, 'an earlier version changes nothing');
  t.equal(feed.requests.at(-1)?.headers.authorization, 'Basic credentials');
  t.match(feed.requests.at(-1)?.url, /\?after=one\.\d$/);
});

t.test('a reset forgets what it does not name, and is all or nothing', async (t) => {
  const [kept, dropped] = [await mint({ sid: 'one' }), await mint({ sid: 'two' })];
  const wrong = { from: 'nine.9' };
  feed.restore('two', [{ sessions: ['one', 'new'] }]);
  feed.revoke({ sessions: ['half'] }, wrong);
  await eventually(async () => /another question/.test((await python.says(kept)).error ?? ''), 'an error');
  t.equal(await isRevoked(dropped), true, 'half of a list replaces nothing');
  feed.restore('three', [{ sessions: ['new'] }, { sessions: ['one'] }]);
  const seen: boolean[] = [];
  while (await isRevoked(dropped)) seen.push(await isRevoked(kept));
  t.same(new Set(seen), new Set([true]));
  t.equal(await isRevoked(kept), true);
  t.equal((await python.says(kept)).error, null);
});

t.test(
  'tells its lag: what the server says, what caches say, and what passes without an answer',
  async (t) => {
    t.ok((await lag()) < 30);
    feed.answer((response) => {
      response.setHeader('age', '200');
      response.end(JSON.stringify({ ...EMPTY, cursor: 'three.2', from: 'three.2', age: 100.5 }));
    });
    await eventually(async () => (await lag()) > 300, 'a lag of five minutes');
    feed.answer((response) => {
      response.setHeader('age', 'unknown');
      response.end(JSON.stringify({ ...EMPTY, cursor: 'three.2', from: 'three.2', age: 100.5 }));
    });
    await eventually(async () => (await lag()) < 200, 'a lag without that of the cache');
    feed.answer((response) => response.destroy());
    process.kill(python.pid, 'SIGHUP');
    await eventually(async () => (await lag()) > 700, 'ten minutes more');
    t.equal(await isRevoked(await mint({ sid: 'one' })), true, 'and goes on with what it has');
    feed.answer(null);
    await eventually(async () => (await lag()) < 30, 'the end of it');
  },
);

t.test('follows no redirect, and believes nothing of an answer that is none', async (t) => {
  feed.answer((response) => response.writeHead(302, { location: feed.url }).end());
  const token = await mint({ sid: 'one' });
  await eventually(async () => /302/.test((await python.says(token)).error ?? ''), 'an error');
  const whole = (changes: object) => JSON.stringify({ ...EMPTY, cursor: 'ten.1', from: null, ...changes });
  const answers = {
    'no end': whole({ more: true }),
    'too long': `${' '.repeat(30 * 2 ** 20)}${whole({ more: true })}`,
    'no object': '[]',
    'no keys': whole({ keys: undefined }),
    'a number for hashes': whole({ sessions: 7 }),
    'hashes that are cut': whole({ sessions: 'A'.repeat(14) }),
    'letters that are none': whole({ tokens: 'AAAAA!AAAAAA' }),
    'a pair with two hashes': whole({ users: [['A'.repeat(22), 1]] }),
    'a version that is none': whole({ users: [['A'.repeat(11), 1.5]] }),
    'milliseconds for seconds': whole({ clients: [['A'.repeat(11), Date.now()]] }),
    'a window of a year': whole({ window: 31_536_000 }),
    'an age that is none': whole({}).replace('"age":0', '"age":NaN'),
    'no JSON': '<h1>',
  };
  const error = async () => (await python.says(token)).error;
  for (const [what, body] of Object.entries(answers)) {
    feed.answer((response) => response.writeHead(503).end());
    await eventually(async () => /503/.test((await error()) ?? ''), 'another error');
    feed.answer((response) => response.end(body));
    await eventually(async () => !/503|slow/.test((await error()) ?? '503'), what);
    t.equal(await isRevoked(token), true, what);
    if (/no end|too long/.test(what)) t.match(await error(), what);
  }
  const next = feed.requests.length;
  feed.answer(null);
  await eventually(async () => (await error()) === null, 'an answer');
  t.equal(feed.requests[next]?.url, '/', 'it begins anew');
});

t.test('begins anew when the server does not know its cursor for one', async () => {
  feed.restore('another format', [{ sessions: ['one'] }, { sessions: ['formatted'] }]);
  await becomesRevoked({ sid: 'formatted' });
  await eventually(() => feed.requests.at(-1)?.url === '/?after=another%20format.2', 'the cursor');
  const sessions = createHash('sha256').update('known').digest().subarray(0, 8).toString('base64url');
  const whole = JSON.stringify({ ...EMPTY, cursor: 'eleven.1', from: null, sessions });
  feed.answer((response) => {
    if (response.req.url === '/') response.end(whole);
    else response.writeHead(400).end();
  });
  await becomesRevoked({ sid: 'known' });
  feed.answer(null);
});

t.test('takes nothing of a part that names no cursor', async (t) => {
  feed.restore('halves', [{ sessions: ['one'] }]);
  await eventually(() => feed.requests.at(-1)?.url === '/?after=halves.1', 'the reset');
  feed.revoke({ sessions: ['from a half'] }, { cursor: undefined });
  const half = await mint({ sid: 'from a half' });
  await eventually(async () => /cursor/.test((await python.says(half)).error ?? ''), 'an error');
  t.equal(await isRevoked(half), false);
  t.equal(await isRevoked(await mint({ sid: 'one' })), true);
});

t.test('does not know what an overflowing feed has left out', async (t) => {
  feed.restore('twelve', [{ sessions: ['one'] }]);
  feed.keepFor(300);
  feed.revoke({ sessions: ['two'] }, { overflow: true });
  await becomesRevoked({ sid: 'two' });
  await eventually(async () => (await lag()) < 30, 'a lag: nothing is left out of what is held');
  feed.restore('thirteen', [{ sessions: ['three'] }, { sessions: ['four'] }], { overflow: true });
  await becomesRevoked({ sid: 'four' });
  t.equal(await lag(), Number.POSITIVE_INFINITY);
  process.kill(python.pid, 'SIGHUP');
  await eventually(async () => (await lag()) < 30, 'the end of the window');
  feed.keepFor(1920);
  feed.restore('fourteen', [{ sessions: ['one'] }]);
  await becomesRevoked({ sid: 'one' });
});

t.test('waits for as long as Retry-After says, or longer, but not for hours', async (t) => {
  const token = await mint();
  const pauses: [status: number, said: string, seconds: number[]][] = [
    [429, '7', [7, 7.875]],
    [503, '7', [7, 7.875]],
    [503, '86400', [60, 67.5]],
    [503, '9'.repeat(5000), [60, 67.5]],
    [503, '²', [0.25, 0.25]],
    [503, new Date(Date.now() + 60_000).toUTCString(), [0.25, 0.25]],
    [404, '7', [7, 7.875]],
  ];
  for (const [status, said, seconds] of pauses) {
    feed.answer((response) => response.writeHead(status, { 'retry-after': said }).end());
    const before = feed.requests.length;
    await eventually(() => feed.requests.length > before + 2, 'two pauses');
    t.same((await python.says(token)).pauses, seconds, `${status} ${said.slice(0, 30)}`);
  }
  feed.answer(null);
  await eventually(async () => (await python.says(token)).error === null, 'an answer');
});

t.test('gives up an answer that comes too slowly', async (t) => {
  const token = await mint({ sid: 'one' });
  let dripping = 0;
  feed.answer((response) => {
    dripping += 1;
    const timer = setInterval(() => response.write(' '), 50);
    response.once('close', () => clearInterval(timer));
  });
  await eventually(() => dripping === 1, 'a question');
  process.kill(python.pid, 'SIGHUP');
  await eventually(async () => /too slow/.test((await python.says(token)).error ?? ''), 'an error');
  feed.answer(null);
  await eventually(async () => (await python.says(token)).error === null, 'an answer');
  t.ok((await lag()) < 30);
});

t.test('forgets what has left the window', async (t) => {
  feed.keepFor(300);
  feed.restore('four', [{ sessions: ['short', 'long'] }]);
  await becomesRevoked({ sid: 'short' });
  feed.keepFor(1920);
  feed.revoke({ sessions: ['long', 'last'] });
  await becomesRevoked({ sid: 'last' });
  process.kill(python.pid, 'SIGHUP');
  const short = await mint({ sid: 'short' });
  await eventually(async () => !(await isRevoked(short)), 'the end of the window');
  t.equal(await isRevoked(await mint({ sid: 'long' })), true, 'which was told again later');
});

t.test('nothing was ever loaded: the lag is without end', async (t) => {
  feed.answer((response) => response.writeHead(503).end());
  const late = await startPythonFollower(t, feed.url);
  const token = await mint({ sid: 'one' });
  await eventually(async () => (await late.says(token)).error !== null, 'an error');
  t.match(await late.says(token), { revoked: false, lag: null, error: /503/ });
  feed.answer(null);
});

/** A URL behind which a Doorward, another one, or nothing can be. */
async function openFront(t: Test) {
  let behind: TestApp['app'] | null = null;
  const server = createServer((request, response) => {
    if (behind === null) response.destroy();
    else behind.routing(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    put: (app: typeof behind) => {
      behind = app;
    },
  };
}

t.test('with Doorward: a sign-out, a restored database, an outage', async (t) => {
  const front = await openFront(t);
  const [{ app }, { app: restored }] = [await build(t), await build(t)];
  await Promise.all([app.ready(), restored.ready()]);
  front.put(app);
  const python = await startPythonFollower(t, `${front.url}/revocations`);
  const isRevoked = async (token: string) => (await python.says(token)).revoked;
  const lag = async () => (await python.says(kept)).lag ?? Number.POSITIVE_INFINITY;
  const [one, other, third] = [await signUp(app), await signUp(app), await signUp(restored)];
  const [gone, kept] = [await mintToken(app, one.cookie), await mintToken(app, other.cookie)];
  const signOut = (app: TestApp['app'], cookie: string) =>
    app.inject({ method: 'POST', url: '/logout', headers: { cookie } });

  t.equal(await isRevoked(gone), false);
  t.equal((await signOut(app, one.cookie)).statusCode, 204);
  const signedOutAt = performance.now();
  await eventually(() => isRevoked(gone), 'the sign-out');
  t.ok(performance.now() - signedOutAt < 5_000, `${performance.now() - signedOutAt} ms`);
  t.equal(await isRevoked(kept), false);
  t.ok((await lag()) < 10);

  front.put(null);
  process.kill(python.pid, 'SIGHUP');
  await eventually(async () => (await lag()) > 600, 'a lag of ten minutes');
  t.equal(await isRevoked(gone), true);

  front.put(restored);
  const afterwards = await mintToken(restored, third.cookie);
  t.equal((await signOut(restored, third.cookie)).statusCode, 204);
  await eventually(() => isRevoked(afterwards), 'a sign-out of the other database');
  t.equal(await isRevoked(gone), false, 'what the restored database does not know');
  t.ok((await lag()) < 10);
});
