/** The feed at HAProxy, with answers that a server rarely gives. `gateway-haproxy.test.ts` has it with Doorward's own. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { STEPPED_CLOCK } from '../recipes/support/recipe-services.ts';
import { startFakeFeed } from '../support/fake-feed.ts';
import { freePort } from '../support/free-port.ts';
import type { Running } from '../support/gateway-program.ts';
import { ask, bearer, eventually } from '../support/gateway-world.ts';
import {
  type Behind,
  followRevocations,
  prepareHaproxy,
  startHaproxy,
  TOLD_PAUSES,
} from '../support/haproxy.ts';
import { createSigner } from '../verifier/support/tokens.ts';

t.setTimeout(300_000);

const [signer, other] = [await createSigner(), await createSigner()];
const feed = await startFakeFeed(t, { '/auth/.well-known/jwks.json': { keys: [signer.jwk, other.jwk] } });
const gatewayPort = await freePort();
const origin = `http://localhost:${gatewayPort}`;
const members = await startService();
const addresses = { doorward: new URL(feed.url).host, shop: members, payments: members, members };
const world: Behind = { gatewayPort, origin, addresses, doorward: { url: feed.url } };
const files = await prepareHaproxy(t, world);
const now = Math.floor(Date.now() / 1000);

/** Most of an answer. */
const EMPTY = { window: 1920, age: 0, sessions: '', tokens: '', users: [], clients: [], keys: [] };

/** Until the last test ends, whichever one starts them. */
const startProxy = () => startHaproxy(t, world, files);
const startScript = (env = {}) => followRevocations(t, world, files, env);
let haproxy = await startProxy();
let script = startScript();

async function startService(): Promise<string> {
  const server = createServer((_request, response) => void response.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A user's token that is good now, except for the changes. */
function mint(claims: Record<string, unknown> = {}, by = signer): Promise<string> {
  const usual = { iss: `${origin}/auth`, iat: now, exp: now + 3600, cv: 3 };
  return by.sign({ ...usual, sub: 'ada', sid: crypto.randomUUID(), ...claims });
}

async function statusOf(token: string): Promise<number> {
  return (await ask(`${origin}/members/`, { headers: bearer(token) })).status;
}

async function isRefused(token: string, what = 'a refusal'): Promise<void> {
  await eventually(async () => (await statusOf(token)) === 401, what);
}

/** Waits until the script has asked again, and has told HAProxy what came. */
async function anotherRound(): Promise<void> {
  const before = feed.requests.length;
  await eventually(() => feed.requests.length >= before + 2, 'the next question');
}

async function stop(program: Running): Promise<void> {
  await program.stop('SIGKILL');
}

t.test('HAProxy refuses the tokens of each kind that the feed names, and no other', async (t) => {
  const both = { sub: 'service', client_id: 'service', sid: undefined, cv: undefined };
  const kinds = {
    'of a session': [await mint({ sid: 'one' }), await mint({ sid: 'another' })],
    'by its id': [await mint({ jti: 'one' }), await mint({ jti: 'another' })],
    'of an earlier version': [await mint({ sub: 'bob' }), await mint({ sub: 'bob', cv: 4 })],
    'without a version': [
      await mint({ sub: 'bob', cv: undefined }),
      await mint({ sub: 'eve', cv: undefined }),
    ],
    'of a client, from before': [
      await mint({ ...both, iat: now - 10 }),
      await mint({ ...both, iat: now - 9 }),
    ],
    'of a key': [await mint({}, other), await mint()],
    'of no session, of a user by name alone': [
      await mint({ sid: 'one', sub: 'bob', cv: 9 }),
      await mint({ sid: undefined, sub: 'bob', cv: 1 }),
    ],
  };
  for (const token of Object.values(kinds).flat()) t.equal(await statusOf(token), 200);
  feed.revoke({ sessions: ['one', 'two'], tokens: ['one'], users: [['bob', 4]] });
  feed.revoke({ clients: [['service', now - 10]], keys: [other.kid] });
  for (const [what, [bad = '', good = '']] of Object.entries(kinds)) {
    await isRefused(bad, what);
    t.equal(await statusOf(good), 200, what);
  }
  const { body, headers } = await ask(`${origin}/members/`, { headers: bearer(kinds['by its id'][0] ?? '') });
  t.equal(JSON.parse(body).code, 'invalid_token');
  t.match(headers.get('www-authenticate'), /error="invalid_token"/);
});

t.test('whoever has a revoked key cannot hide it behind another name', async (t) => {
  const claims = { iss: `${origin}/auth`, iat: now, exp: now + 3600, sid: crypto.randomUUID() };
  for (const kid of [signer.kid, other.kid, 'another', undefined])
    t.equal(await statusOf(await other.sign(claims, { kid })), 401, `${kid}`);
  t.equal(await statusOf(await signer.sign(claims)), 200);
});

t.test('a later version of the same user counts, an earlier one does not', async (t) => {
  feed.revoke({ users: [['bob', 6]] });
  await isRefused(await mint({ sub: 'bob', cv: 5 }));
  feed.revoke({ users: [['bob', 2]] });
  await anotherRound();
  t.equal(await statusOf(await mint({ sub: 'bob', cv: 5 })), 401);
  t.equal(await statusOf(await mint({ sub: 'bob', cv: 6 })), 200);
});

t.test('no reset lets a revoked token pass, however many parts it has', async (t) => {
  const token = await mint({ sid: 'one' });
  const crowd = Array.from({ length: 2000 }, (_, at) => `session ${at}`);
  const passed: number[] = [];
  let hammers = true;
  const hammering = (async () => {
    while (hammers) passed.push(await statusOf(token));
  })();
  for (const epoch of ['two', 'three', 'four']) {
    feed.restore(epoch, [
      { sessions: crowd },
      { users: [['carol', 7]] },
      { sessions: ['one', `of ${epoch}`] },
    ]);
    await isRefused(await mint({ sid: `of ${epoch}` }));
    await anotherRound();
    t.equal(await statusOf(await mint({ sub: 'bob', cv: 1 })), 200, 'what it does not name is forgotten');
    t.equal(await statusOf(await mint({ sub: 'carol', cv: 6 })), 401);
    t.equal(await statusOf(await mint({ sid: 'session 1999' })), 401);
  }
  hammers = false;
  await hammering;
  t.same(new Set(passed), new Set([401]), `${passed.length} requests`);
});

t.test('a script that starts again goes on, and HAProxy keeps what it has meanwhile', async (t) => {
  await stop(script);
  feed.revoke({ sessions: ['while it was away'] });
  t.equal(await statusOf(await mint({ sid: 'one' })), 401);
  t.equal(await statusOf(await mint({ sid: 'while it was away' })), 200, 'as its page says');
  script = startScript();
  await isRefused(await mint({ sid: 'while it was away' }));
  t.equal(await statusOf(await mint({ sid: 'one' })), 401);
});

t.test('an HAProxy that starts again has everything from the files', async (t) => {
  await stop(script);
  await stop(haproxy);
  haproxy = await startProxy();
  for (const sid of ['one', 'while it was away', 'session 7'])
    t.equal(await statusOf(await mint({ sid })), 401, sid);
  t.equal(await statusOf(await mint({ sub: 'carol', cv: 6 })), 401);
  t.equal(await statusOf(await mint()), 200);
});

t.test('an HAProxy that started while the script runs is told what comes', async (t) => {
  script = startScript();
  await anotherRound();
  await stop(haproxy);
  feed.revoke({ sessions: ['while HAProxy was away'] });
  await anotherRound();
  await eventually(() => /ECONNREFUSED|ENOENT/.test(script.output()), 'a line in the log');
  haproxy = await startProxy();
  t.equal(await statusOf(await mint({ sid: 'while HAProxy was away' })), 401);
  feed.revoke({ sessions: ['afterwards'] });
  await isRefused(await mint({ sid: 'afterwards' }));
  await eventually(() => /all is well again\n$/.test(script.output()), 'another line');
});

t.test('entries that got lost at HAProxy are told again', async () => {
  const socket = connect(files.socket);
  const cleared = new Promise((resolve) => socket.once('close', resolve));
  socket.resume().write(`clear map ${join(files.revokedFolder, 'sessions.map')}\n`);
  await cleared;
  await isRefused(await mint({ sid: 'one' }));
});

t.test('a map that cannot be written stays whole, holds up nothing, and is written later', async (t) => {
  const before = script.output().length;
  const sessions = mapOf('sessions');
  const blocker = join(files.revokedFolder, 'sessions.map.new');
  mkdirSync(blocker);
  const token = await mint({ sid: 'on a full disk' });
  await eventually(async () => {
    feed.revoke({ sessions: [crypto.randomUUID()] });
    feed.revoke({ sessions: ['on a full disk'], users: [['frank', 7]] });
    return (await statusOf(token)) === 401;
  }, 'a refusal, although there is something new each time');
  await eventually(() => mapOf('users').includes(hashOf('frank')), 'the other files');
  await anotherRound();
  t.equal(mapOf('sessions'), sessions);
  rmdirSync(blocker);
  await eventually(() => mapOf('sessions').includes(hashOf('on a full disk')), 'the file');
  await eventually(() => /all is well again\n$/.test(script.output()), 'a line in the log');
  t.match(script.output().slice(before), /^.*revoked cannot be written: EISDIR\n.*all is well again\n$/);
  feed.restore('with room', [{ sessions: ['one'] }]);
  await eventually(async () => (await statusOf(token)) === 200, 'the reset');
});

function mapOf(kind: string): string {
  return readFileSync(join(files.revokedFolder, `${kind}.map`), 'utf8');
}

function hashOf(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16);
}

t.test(
  'while the feed says nothing that can be used, everything stays, with one line in the log',
  async (t) => {
    const before = script.output().length;
    const answers: [RegExp, Parameters<typeof feed.answer>[0]][] = [
      [/answers 503\n$/, (response) => response.writeHead(503).end()],
      [/JSON/, (response) => response.end('<h1>Bad gateway</h1>')],
      [/(ECONNRESET|other side closed|UND_ERR_SOCKET)\n$/, (response) => response.destroy()],
      [/redirect/, (response) => response.writeHead(302, { location: `${feed.url}/elsewhere` }).end()],
    ];
    for (const [said, how] of answers) {
      feed.answer(how);
      await eventually(() => said.test(script.output().slice(before)), String(said));
      await anotherRound();
      t.equal(await statusOf(await mint({ sid: 'one' })), 401);
      t.equal(await statusOf(await mint()), 200);
    }
    feed.answer(null);
    await eventually(() => /all is well again\n$/.test(script.output()), 'the end of it');
    t.equal(script.output().slice(before).match(/\n/g)?.length, answers.length + 1);
  },
);

t.test('waits for as long as Retry-After says, or longer, but not for hours', async () => {
  await stop(script);
  const patient = startScript({ NODE_OPTIONS: `--import ${TOLD_PAUSES}` });
  const pauses: [status: number, said: string, milliseconds: number[]][] = [
    [429, '7', [7000, 7875]],
    [503, '86400', [60_000, 67_500]],
    [503, '7', [7000, 7875]],
    [503, new Date(Date.now() + 60_000).toUTCString(), [1000, 1000]],
  ];
  for (const [status, said, milliseconds] of pauses) {
    feed.answer((response) => response.writeHead(status, { 'retry-after': said }).end());
    await eventually(
      () => isDeepStrictEqual(lastPauses(patient), milliseconds),
      `${status} ${said}: ${milliseconds}`,
    );
  }
  feed.answer(null);
  await stop(patient);
  script = startScript();
  await anotherRound();
});

/** The last two, the shorter one first. */
function lastPauses(program: Running): number[] {
  const pauses = [...program.output().matchAll(/^pause (.*)\n/gm)].map(([, ms]) => Number(ms));
  return pauses.slice(-2).sort((a, b) => a - b);
}

t.test(
  'an answer to another question, or with something else for a number: asks for everything',
  async (t) => {
    feed.revoke({ sessions: ['behind a wrong cursor'] }, { from: 'nine.9' });
    await eventually(() => /answered another question\n/.test(script.output()), 'a complaint');
    await isRefused(await mint({ sid: 'one' }));
    feed.restore('five', [{ sessions: ['one', 'five'] }]);
    await isRefused(await mint({ sid: 'five' }));
    feed.revoke({ sessions: ['six'], users: [['dave', 1.5]] });
    await eventually(() => /something else for a number\n/.test(script.output()), 'a complaint');
    t.equal(await statusOf(await mint({ sid: 'six' })), 200, 'nothing of it is believed');
    t.equal(await statusOf(await mint({ sid: 'one' })), 401);
    feed.restore('six', [{ sessions: ['one', 'six'] }]);
    await isRefused(await mint({ sid: 'six' }));
  },
);

t.test('nothing is believed of an answer that is not as it must be', async (t) => {
  await stop(script);
  feed.restore('seven', [{ sessions: ['one'] }]);
  const quick = startScript({ NODE_OPTIONS: `--import ${TOLD_PAUSES}` });
  const whole = (changes: object) => JSON.stringify({ ...EMPTY, cursor: 'ten.1', from: null, ...changes });
  const answers: [RegExp, body: string][] = [
    [/no end$/, whole({ more: true })],
    [/too long$/, `${' '.repeat(30 * 2 ** 20)}${whole({ more: true })}`],
    [/for hashes$/, whole({ sessions: 'A'.repeat(14) })],
    [/for hashes$/, whole({ tokens: 'AAAAA!AAAAAA' })],
    [/for hashes$/, whole({ users: [['A'.repeat(22), 1]] })],
    [/for a number$/, whole({ clients: [['A'.repeat(11), Date.now()]] })],
    [/for a number$/, whole({ window: 31_536_000 })],
    [/for an age$/, whole({ age: undefined })],
    [/for keys$/, whole({ keys: 'keys' })],
    [/for a cursor$/, whole({ cursor: undefined })],
  ];
  for (const [said, body] of answers) {
    feed.answer((response) => response.writeHead(503).end());
    await eventually(() => /answers 503$/.test(lastLine(quick)), 'another complaint');
    feed.answer((response) => response.end(body));
    await eventually(() => said.test(lastLine(quick)), String(said));
    t.equal(await statusOf(await mint({ sid: 'one' })), 401, String(said));
  }
  const next = feed.requests.length;
  feed.answer(null);
  await eventually(() => /all is well again$/.test(lastLine(quick)), 'the end of it');
  t.equal(feed.requests[next]?.url, '/auth/revocations', 'it begins anew');
  await stop(quick);
});

/** Without pauses. */
function lastLine(program: Running): string {
  const lines = program.output().split('\n');
  return lines.findLast((line) => line !== '' && !line.startsWith('pause')) ?? '';
}

t.test('begins anew when the server does not know its cursor for one', async () => {
  feed.restore('another format', [{ sessions: ['one'] }, { sessions: ['formatted'] }]);
  script = startScript();
  await isRefused(await mint({ sid: 'formatted' }));
  await eventually(() => feed.requests.at(-1)?.url?.endsWith('=another%20format.2') === true, 'the cursor');
  const sessions = Buffer.from(hashOf('known'), 'hex').toString('base64url');
  const whole = JSON.stringify({ ...EMPTY, cursor: 'eleven.1', from: null, sessions });
  feed.answer((response) => {
    if (response.req.url?.includes('after')) response.writeHead(400).end();
    else response.end(whole);
  });
  await isRefused(await mint({ sid: 'known' }));
  feed.answer(null);
});

t.test(
  'says once when Doorward, or a cache, is behind, and when the feed leaves something out',
  async (t) => {
    feed.restore('eight', [{ sessions: ['one'] }]);
    await isRefused(await mint({ sid: 'one' }));
    await anotherRound();
    const before = script.output().length;
    const lines = () => script.output().slice(before).split('\n');
    let age = 42;
    const answers = [
      { age: () => (age += 1), header: '' },
      { age: () => 0, header: '42' },
    ];
    for (const { age, header } of answers) {
      feed.answer((response) => {
        const from = new URL(response.req.url ?? '', feed.url).searchParams.get('after');
        response.setHeader('age', header);
        response.end(JSON.stringify({ ...EMPTY, cursor: from, from, age: age() }));
      });
      await eventually(() => /more than 10 s old$/.test(lines().at(-2) ?? ''), 'a complaint');
      await anotherRound();
      feed.answer(null);
      await eventually(() => /all is well again$/.test(lines().at(-2) ?? ''), 'the end of it');
    }
    t.equal(lines().length, 5, 'two complaints, and two ends');
    feed.restore('nine', [{ sessions: ['one'] }, { sessions: ['nine'] }], { overflow: true });
    await eventually(() => /more than it keeps$/.test(lines().at(-2) ?? ''), 'a complaint');
    await anotherRound();
    t.equal(lines().length, 6);
  },
);

t.test(
  'forgets what has left the window, in HAProxy and in the files, and shows its credentials',
  async (t) => {
    await stop(script);
    feed.keepFor(300);
    feed.restore('eight', [{ sessions: ['short', 'long'] }, { sessions: ['long'] }]);
    const client = { CLIENT_ID: 'haproxy', CLIENT_SECRET: 'a+b' };
    const env = { ...client, NODE_OPTIONS: `--import ${STEPPED_CLOCK}` };
    const stepped = startScript(env);
    await isRefused(await mint({ sid: 'short' }));
    t.equal(
      feed.requests.at(-1)?.headers.authorization,
      `Basic ${Buffer.from('haproxy:a%2Bb').toString('base64')}`,
    );
    feed.keepFor(1920);
    feed.revoke({ sessions: ['long'] });
    await anotherRound();
    process.kill(stepped.pid, 'SIGHUP');
    await eventually(
      async () => (await statusOf(await mint({ sid: 'short' }))) === 200,
      'the end of the window',
    );
    t.equal(await statusOf(await mint({ sid: 'long' })), 401, 'which was told again later');
    t.equal(mapOf('sessions').match(/\n/g)?.length, 1);
  },
);
