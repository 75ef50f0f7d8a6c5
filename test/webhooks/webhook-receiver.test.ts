import type { ServerResponse } from 'node:http';
import { type Test, test } from 'tap';
import { createWebhookReceiver } from '../../src/webhooks/webhook-receiver.ts';
import { catchWebhooks, newWebhookSecret } from '../support/webhook-catcher.ts';

const HOUR_MS = 3_600_000;

/** A receiver of webhooks, and the side of it that sends, whose clock a test can move. */
async function setUp(t: Test) {
  const catcher = await catchWebhooks(t);
  const secrets = [Buffer.from(catcher.secret.slice(6), 'base64')];
  const clock = { passedMs: 0 };
  const now = () => Date.now() + clock.passedMs;
  const { send: sendOn } = createWebhookReceiver({ url: catcher.url, secrets, now });
  const send = (signal = new AbortController().signal) =>
    sendOn({ id: 'one', body: '{"type":"user.deleted"}', signal });
  return { ...catcher, clock, secrets, send, now };
}

test('a message is one signed POST of JSON', async (t) => {
  const { send, events, requests } = await setUp(t);
  await send();
  t.match(events, [{ id: 'one', type: 'user.deleted' }]);
  t.match(requests, [{ url: '/hooks?key=in-the-url', headers: { 'content-type': 'application/json' } }]);
});

test('every 2xx is success, with or without a body', async (t) => {
  const { send, answerStatus, answerWith } = await setUp(t);
  for (const status of [200, 202, 204, 299]) {
    answerStatus(status);
    await t.resolves(send(), String(status));
  }
  answerWith((response) => response.writeHead(200).end('{"ok":true}'));
  await t.resolves(send());
});

test('an endless body is not waited for, nor read', async (t) => {
  const { send, answerWith } = await setUp(t);
  const closed = Promise.withResolvers<void>();
  answerWith((response: ServerResponse) => {
    response.writeHead(200);
    const fill = () => {
      while (response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', fill).on('close', closed.resolve);
    fill();
  });
  await send();
  await closed.promise;
  t.pass('the connection has ended');
});

test('a redirect is not followed, and its target gets nothing', async (t) => {
  const { send, answerStatus, secret } = await setUp(t);
  const target = await catchWebhooks(t, secret);
  for (const status of [301, 302, 307, 308]) {
    answerStatus(status, { location: target.url });
    await t.rejects(send(), { name: 'WebhookFailure', code: `HTTP_${status}` });
  }
  t.same(target.requests, []);
});

test('what a receiver refuses is told by its status alone', async (t) => {
  const { send, answerWith } = await setUp(t);
  for (const status of [400, 401, 404, 500, 503]) {
    answerWith((response) => response.writeHead(status).end('a secret in the answer'));
    const error = await send().catch((error: Error) => error);
    t.match(error, { name: 'WebhookFailure', code: `HTTP_${status}` });
    t.notMatch(JSON.stringify([String(error), (error as Error).cause]), /secret|in-the-url/);
  }
});

test('a receiver that answers 410 wants no more of that message', async (t) => {
  const { send, answerStatus, take } = await setUp(t);
  answerStatus(410);
  await t.rejects(send(), { name: 'Undeliverable', code: 'HTTP_410' });
  take();
  await t.resolves(send(), 'another one is sent');
});

test('a receiver that asks for time gets it, in seconds or as a date, an hour at most', async (t) => {
  const { send, answerStatus, take, clock, requests } = await setUp(t);
  answerStatus(429, { 'retry-after': '120' });
  await t.rejects(send(), { name: 'RetryLater', code: 'HTTP_429', afterMs: 120_000 });
  clock.passedMs += 60_000;
  const early = await send().catch((error: Error & { afterMs?: number }) => error);
  t.match(early, { name: 'RetryLater', code: 'AskedForTime' });
  t.ok(Number(early?.afterMs) <= 60_000);
  t.equal(requests.length, 1, 'it is left alone meanwhile');
  clock.passedMs += 60_000;

  const inTwoDays = new Date(Date.now() + clock.passedMs + 48 * HOUR_MS).toUTCString();
  answerStatus(503, { 'retry-after': inTwoDays });
  await t.rejects(send(), { name: 'RetryLater', code: 'HTTP_503', afterMs: HOUR_MS });
  clock.passedMs += HOUR_MS;
  for (const nonsense of ['0', '-5', 'soon', new Date(0).toUTCString()]) {
    answerStatus(503, { 'retry-after': nonsense });
    await t.rejects(send(), { name: 'WebhookFailure', code: 'HTTP_503' }, nonsense);
  }
  answerStatus(500, { 'retry-after': '120' });
  await t.rejects(send(), { name: 'WebhookFailure', code: 'HTTP_500' });
  take();
  await t.resolves(send());
});

test('a receiver that is away, or that hangs, is told by a code', async (t) => {
  const { send, answerWith, close, now, secrets, url } = await setUp(t);
  const controller = new AbortController();
  answerWith(() => controller.abort(new Error('the deadline')));
  await t.rejects(send(controller.signal), { name: 'WebhookFailure', code: 'Error' });
  close();
  await t.rejects(send(), { name: 'WebhookFailure', code: 'ECONNREFUSED' });
  const tls = createWebhookReceiver({ url: url.replace('http:', 'https:'), secrets, now });
  const error = await tls
    .send({ id: 'one', body: newWebhookSecret(), signal: new AbortController().signal })
    .catch((error: Error) => error);
  t.notMatch(String(error), /in-the-url/);
});
