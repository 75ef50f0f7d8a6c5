import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type Test, test } from 'tap';
import { createPlace, createWire, newCredentials, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { linesOf } from '../support/metrics.ts';
import { cookiesOf, postJson, startServer } from './server-process.ts';

const REQUESTS = 'doorward_http_request_duration_seconds_count';

async function start(t: Test, env: Record<string, string> = {}, options = {}) {
  const place = await createPlace(t);
  const [database, redis] = await Promise.all([
    createWire(t, place.DATABASE_URL),
    createWire(t, place.REDIS_URL),
  ]);
  const settings = { METRICS_PORT: '0', DRAIN_DELAY: '0s', ...env };
  const urls = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  const server = startServer(t, { ...place, ...urls, ...settings }, options);
  return { server, place, database, redis, url: await server.url() };
}

async function startWithMetrics(t: Test, env: Record<string, string> = {}) {
  const started = await start(t, env);
  const [, metricsUrl = ''] = await started.server.says(/Metrics are at (http:[^"]+)/);
  const scrape = async () => (await fetch(metricsUrl)).text();
  return { ...started, metricsUrl, scrape, lines: async () => linesOf(await scrape()) };
}

/** How many lines there are, but for those of calls that the server makes by itself from time to time. */
function ofRequests(lines: object): number {
  return Object.keys(lines).filter((line) => !/call="(outbox|keys|revocations)\./.test(line)).length;
}

test('tells what requests ask for and what becomes of them, in few lines and without what is private', async (t) => {
  const { url, metricsUrl, scrape, place } = await startWithMetrics(t, { AUDIENCES: 'shop,payments' });
  const credentials = newCredentials();
  const signedUp = await postJson(`${url}/signup`, credentials);
  const { user } = (await signedUp.json()) as { user: { id: string } };
  const cookie = cookiesOf(signedUp);
  const minted = await postJson(`${url}/token`, undefined, cookie);
  const { access_token: token } = (await minted.json()) as { access_token: string };
  await postJson(`${url}/token`, { audience: 'shop', single_use: true }, cookie);
  await postJson(`${url}/login`, credentials);
  await postJson(`${url}/login`, { ...credentials, password: randomBytes(12).toString('hex') });
  await postJson(`${url}/signup`, credentials);
  await postJson(`${url}/oauth/token`, {});
  await postJson(`${url}/oauth/introspect`, { token });
  await postJson(`${url}/token`, undefined, `__Host-g_token=${randomBytes(32).toString('base64url')}`);
  for (const path of ['/me', '/sessions', '/forward-auth', '/.well-known/jwks.json', '/health/ready'])
    await fetch(url + path, { headers: { cookie } });
  await fetch(`${url}/forward-auth`, { headers: { authorization: `Bearer ${token}` } });
  await fetch(`${url}/sessions/${user.id}`, { method: 'DELETE', headers: { cookie } });
  await postJson(`${url}/logout`, undefined, cookie);
  const marks = await beHostile(url);

  const text = await scrape();
  const lines = linesOf(text);
  t.match(lines, {
    [`${REQUESTS}{method="POST",route="/token",code="200"}`]: 2,
    [`${REQUESTS}{method="POST",route="/token",code="404"}`]: 1,
    [`${REQUESTS}{method="POST",route="/login",code="401"}`]: 1,
    [`${REQUESTS}{method="DELETE",route="/sessions/:id",code="404"}`]: 1,
    'doorward_sign_ins_total{result="ok"}': 1,
    'doorward_sign_ins_total{result="invalid_credentials"}': 1,
    'doorward_sign_ups_total{result="ok"}': 1,
    'doorward_sign_ups_total{result="email_taken"}': 1,
    'doorward_session_lookups_total{result="unknown"}': 1,
    'doorward_tokens_total{kind="single_use"}': 1,
    'doorward_outbox_attempts_total{lane="sessions_ended",outcome="delivered"}': 1,
    doorward_revocation_lag_seconds_count: 1,
    doorward_password_hash_duration_seconds_count: 4,
    'doorward_signing_keys{status="active"}': 1,
    doorward_database_pool_size: 10,
    doorward_database_pool_waiting: 0,
    doorward_outbox_unknown: 0,
  });
  const hits = lines['doorward_session_lookups_total{result="hit"}'] ?? 0;
  t.ok(hits >= 5, `${hits} look-ups were answered by the cache`);
  t.ok((lines['doorward_http_unreadable_requests_total{code="400"}'] ?? 0) >= 2);
  t.equal(lines['doorward_http_unreadable_requests_total{code="431"}'], 1);
  t.same(unknownRoutesIn(text), [
    'method="any",route="unknown",code="404"',
    'method="any",route="unknown",code="403"',
  ]);
  const secrets = [credentials.email, credentials.password, user.id, token, cookie.split('=')[1] ?? ''];
  for (const secret of [...secrets, ...marks, place.KEY_ENCRYPTION_KEY]) t.notMatch(text, secret);

  const before = ofRequests(lines);
  await beHostile(url);
  t.ok(ofRequests(linesOf(await scrape())) - before < 20, 'the same again makes no new lines');
  t.equal((await fetch(`${url}/metrics`)).status, 404, 'they are not on the public port');
  t.equal((await fetch(new URL('/token', metricsUrl), { method: 'POST' })).status, 404);
});

/** What scanners and liars send. @returns marks that must not be found anywhere */
async function beHostile(url: string): Promise<string[]> {
  const marks = Array.from({ length: 30 }, () => `mark-${randomBytes(8).toString('hex')}`);
  await Promise.all(
    marks.flatMap((mark) => [
      fetch(`${url}/${mark}`),
      fetch(`${url}/sessions/${mark}`, { method: 'DELETE' }),
      fetch(`${url}/forward-auth?audience=${mark}`),
      postJson(`${url}/token`, { audience: mark }),
      fetch(`${url}/token?${mark}=${mark}`, { headers: { 'user-agent': mark, 'x-forwarded-for': mark } }),
      fetch(`${url}/token`, { method: 'PROPPATCH', headers: { origin: `https://${mark}.example` } }),
      fetch(`${url}/${mark}`, { method: 'OPTIONS', headers: { [mark]: mark } }),
    ]),
  );
  await fetch(`${url}/%zz`);
  await write(url, `${marks[0]} ${marks[0]}\r\n\r\n`);
  await write(url, `GET / HTTP/1.1\r\nhost: x\r\nlong: ${'x'.repeat(20_000)}\r\n\r\n`);
  return marks;
}

async function write(url: string, text: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket
    .end(text)
    .resume()
    .on('error', () => {});
  await once(socket, 'close');
}

function unknownRoutesIn(text: string): string[] {
  const lines = text.matchAll(/^doorward_http_request_duration_seconds_count\{(.*"unknown".*)\}/gm);
  return [...lines].map(([, labels = '']) => labels);
}

/** Waits until a metric has a value. */
async function shows(
  lines: () => Promise<Record<string, number>>,
  name: string,
  value: number,
): Promise<void> {
  await eventually(async () => {
    const { [name]: found } = await lines();
    if (found !== value) throw new Error(`${name} is ${found}, not ${value}`);
  });
}

test('a part that does not answer is shown, and the scrape answers all the same', async (t) => {
  const { url, database, redis, lines } = await startWithMetrics(t);
  const token = () =>
    postJson(`${url}/token`, undefined, `__Host-g_token=${randomBytes(32).toString('base64url')}`);
  t.match(await lines(), { 'doorward_breaker_open{part="database"}': 0, doorward_outbox_unknown: 0 });

  const asked = async () => {
    await token();
    return lines();
  };
  database.freeze();
  await shows(asked, 'doorward_breaker_open{part="database"}', 1);
  const startedAt = performance.now();
  const away = await lines();
  t.ok(performance.now() - startedAt < 5_000);
  t.ok((away['doorward_session_lookups_total{result="error"}'] ?? 0) > 0);
  database.mend();
  await shows(lines, 'doorward_breaker_open{part="database"}', 0);

  redis.freeze();
  await shows(asked, 'doorward_breaker_open{part="redis"}', 1);
  redis.mend();
  await shows(lines, 'doorward_breaker_open{part="redis"}', 0);
  t.equal((await lines())['doorward_breaker_openings_total{part="redis"}'], 1);
});

test('dead messages are counted, and a frozen database does not hold up the first scrape', async (t) => {
  const { place, database, lines } = await startWithMetrics(t);
  await runSql(
    place.DATABASE_URL,
    `insert into outbox (id, kind, payload, dead_at)
     select gen_random_uuid(), 'sessions_ended', '{}', now() from generate_series(1, 3)`,
  );
  database.freeze();
  const startedAt = performance.now();
  const frozen = await lines();
  t.ok(performance.now() - startedAt < 5_000);
  t.equal(frozen.doorward_outbox_unknown, 1);
  t.notOk(Object.keys(frozen).some((name) => name.startsWith('doorward_outbox_dead')));
  t.equal(frozen['doorward_signing_keys{status="active"}'], 1, 'what is known is there');
  database.mend();
  await shows(lines, 'doorward_outbox_dead{lane="sessions_ended"}', 3);
});

test('can be scraped while the server drains, and ends with it', async (t) => {
  const { server, url, metricsUrl } = await startWithMetrics(t, { DRAIN_DELAY: '2s' });
  const ended = server.end('SIGTERM');
  await shows(async () => ({ ready: (await fetch(`${url}/health/ready`)).status }), 'ready', 503);
  t.equal((await fetch(metricsUrl)).status, 200);
  t.equal(await ended, 0);
  await t.rejects(fetch(metricsUrl));
});

test('a port for metrics that is taken refuses the start, and says which setting to change', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  const server = startServer(t, { ...(await createPlace(t)), METRICS_PORT: String(port) });
  t.equal(await server.exited, 1);
  t.equal(
    server.stderr,
    `Cannot listen at HOST=127.0.0.1, METRICS_PORT=${port}: another process listens there. Stop that one, or set METRICS_PORT to another port (EADDRINUSE).\n`,
  );
});

test('without METRICS_PORT nothing listens, and the library is not loaded', async (t) => {
  const found = { off: '', on: '' };
  for (const [name, METRICS_PORT] of [
    ['off', ''],
    ['on', '0'],
  ] as const) {
    const { server } = await start(
      t,
      { METRICS_PORT },
      { nodeArgs: ['--import', './test/support/say-metrics.ts'] },
    );
    await server.end('SIGINT');
    found[name] = server.stderr.trim();
  }
  t.same(JSON.parse(found.off), { libraries: 0, channels: 0 });
  t.match(JSON.parse(found.on), { libraries: Number, channels: Number });
  t.ok(JSON.parse(found.on).libraries > 0);
});
