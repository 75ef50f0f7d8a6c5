import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import { channels, listenTo } from '../../src/core/channels.ts';
import { createLeakedPasswords } from '../../src/passwords/leaked-passwords.ts';
import { openRangeServer, sha1Of } from '../support/range-server.ts';

/** Longer than a busy machine needs. */
const GENEROUS_MS = 30_000;

const makePassword = () => randomBytes(18).toString('base64url');

function hear(t: Test): string[] {
  const outcomes: string[] = [];
  t.teardown(listenTo(channels.leakLookUp, ({ outcome }) => void outcomes.push(outcome)));
  return outcomes;
}

async function setUp(t: Test) {
  const server = await openRangeServer(t);
  return { server, outcomes: hear(t), ...createLeakedPasswords(server.url, GENEROUS_MS) };
}

test('finds a leaked password, and no other', async (t) => {
  const { server, isLeaked, outcomes } = await setUp(t);
  const password = makePassword();
  server.leak(password);
  t.equal(await isLeaked(password), true);
  t.equal(await isLeaked(makePassword()), false);
  t.strictSame(outcomes, ['leaked', 'not_found']);
});

test('takes padding for what it is', async (t) => {
  const { server, isLeaked, outcomes } = await setUp(t);
  const password = makePassword();
  server.leak(password, 0);
  t.equal(await isLeaked(password), false);
  t.strictSame(outcomes, ['not_found']);
});

test('sends the first five digits of the hash, asks for padding, and nothing tells more', async (t) => {
  const { server, isLeaked } = await setUp(t);
  const password = makePassword();
  await isLeaked(password);
  const [request, ...others] = server.requests;
  t.strictSame(others, []);
  t.equal(request?.url, `/range/${sha1Of(password).slice(0, 5)}`);
  t.equal(request?.headers['add-padding'], 'true');
  t.notMatch(JSON.stringify(request).toUpperCase(), sha1Of(password).slice(0, 6));
});

test('finds a password however its letters and spaces are composed, and in small letters too', async (t) => {
  const { server, isLeaked } = await setUp(t);
  const password = makePassword();
  server.leak(`${password} \u00e9`);
  t.equal(await isLeaked(`${password}\u00a0e\u0301`), true);
  server.answerWith((response) => response.end(`${sha1Of(password).slice(5).toLowerCase()}:1\n`));
  t.equal(await isLeaked(password), true);
});

test('the address may be given with the path of the ranges', async (t) => {
  const { server } = await setUp(t);
  const password = makePassword();
  server.leak(password);
  for (const url of [`${server.url}/`, `${server.url}/range`, `${server.url}/range/`])
    t.equal(await createLeakedPasswords(url, GENEROUS_MS).isLeaked(password), true, url);
});

test('lets every password pass when no usable answer comes', async (t) => {
  const { server, isLeaked, outcomes } = await setUp(t);
  const password = makePassword();
  server.leak(password);
  const elsewhere = server.url.replace('127.0.0.1', 'localhost');
  const line = () => `${sha1Of(password).slice(5)}:7\r\n`;
  const answers: [string, Parameters<typeof server.answerWith>[0]][] = [
    ['an error', (response) => response.writeHead(500).end(line())],
    ['no content', (response) => response.writeHead(204).end()],
    ['a redirect', (response) => response.writeHead(302, { location: `${elsewhere}/range/x` }).end(line())],
    ['garbage', (response) => response.end(`<html>${line()}</html>`)],
    ['bytes', (response) => response.end(randomBytes(2_000))],
    ['a huge body', (response) => response.end(line().repeat(20_000))],
    ['a connection that is cut', (response) => response.destroy()],
  ];
  for (const [name, answer] of answers) {
    server.answerWith(answer);
    t.equal(await isLeaked(password), false, name);
    t.equal(outcomes.pop(), 'failed', name);
  }
  t.equal(server.requests.length, answers.length, 'no redirect is followed');
  t.equal(await createLeakedPasswords('http://127.0.0.1:9').isLeaked(password), false, 'nobody there');
});

test('waits half a second for the whole answer', async (t) => {
  const { server, outcomes } = await setUp(t);
  const { isLeaked } = createLeakedPasswords(server.url);
  let begun = 0;
  server.answerWith((response) => {
    begun += 1;
    // One is silent, the other one never comes to its end.
    if (begun === 2) response.write(`${'0'.repeat(35)}:1\r\n`);
  });
  const startedAt = performance.now();
  t.strictSame(await Promise.all([isLeaked(makePassword()), isLeaked(makePassword())]), [false, false]);
  const tookMs = performance.now() - startedAt;
  t.ok(tookMs >= 490 && tookMs < 5_000, `${tookMs} ms`);
  t.strictSame(outcomes, ['failed', 'failed']);
});

test('asks nobody without an address', async (t) => {
  const outcomes = hear(t);
  const { isOn, isLeaked } = createLeakedPasswords(undefined);
  t.equal(isOn, false);
  t.equal(await isLeaked(makePassword()), false);
  t.strictSame(outcomes, []);
});
