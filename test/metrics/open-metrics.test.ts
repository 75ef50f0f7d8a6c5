import { hasSubscribers } from 'node:diagnostics_channel';
import { type Test, test } from 'tap';
import { channels, tell } from '../../src/core/channels.ts';
import { AppError } from '../../src/core/errors.ts';
import { operations, traced } from '../../src/core/trace-channels.ts';
import { expose } from '../../src/metrics/exposition.ts';
import { openMetrics } from '../../src/metrics/open-metrics.ts';
import { fakeState, linesOf } from '../support/metrics.ts';

const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';

function open(t: Test) {
  const metrics = openMetrics({ version: '1.2.3' });
  t.teardown(metrics.close);
  const scrape = async (accept?: string) => (await expose([await metrics.read()], accept)).text;
  return { metrics, scrape, lines: async () => linesOf(await scrape()) };
}

const request = { method: 'POST', route: '/token', status: 200, durationMs: 3, traceId: undefined };
const requestLine = (labels: string) => `doorward_http_request_duration_seconds_count{${labels}}`;

test('counts what is published, and nothing more once it is closed', async (t) => {
  const { metrics, lines } = open(t);
  const publishAll = () => {
    tell(channels.request, request);
    tell(channels.unreadableRequest, { status: 431 });
    tell(channels.sessionLookUp, { result: 'stale' });
    tell(channels.breaker, { part: 'redis', isOpen: true });
    tell(channels.passwordHash, { durationMs: 30 });
    tell(channels.passwordRefused, {});
    tell(channels.leakLookUp, { outcome: 'failed' });
    tell(channels.signIn, { outcome: 'invalid_credentials' });
    tell(channels.signUp, { outcome: 'email_taken' });
    tell(channels.token, { kind: 'single_use' });
    tell(channels.limitReached, { limit: 'misses' });
    tell(channels.eventsLost, { count: 3 });
    tell(channels.delivery, {
      ...{ kind: 'sessions_ended', outcome: 'delivered', attempts: 2 },
      ...{ durationMs: 500, ageMs: 4_000 },
    });
  };
  publishAll();
  publishAll();
  const counted = {
    [requestLine('method="POST",route="/token",code="200"')]: 2,
    'doorward_http_request_duration_seconds_bucket{le="0.0025",method="POST",route="/token",code="200"}': 0,
    'doorward_http_request_duration_seconds_bucket{le="0.005",method="POST",route="/token",code="200"}': 2,
    'doorward_http_unreadable_requests_total{code="431"}': 2,
    'doorward_session_lookups_total{result="stale"}': 2,
    'doorward_session_lookups_total{result="hit"}': 0,
    'doorward_breaker_open{part="redis"}': 1,
    'doorward_breaker_open{part="database"}': 0,
    'doorward_breaker_openings_total{part="redis"}': 2,
    doorward_password_hash_duration_seconds_sum: 0.06,
    doorward_password_hashes_refused_total: 2,
    'doorward_leaked_password_lookups_total{outcome="failed"}': 2,
    'doorward_leaked_password_lookups_total{outcome="leaked"}': 0,
    'doorward_sign_ins_total{result="invalid_credentials"}': 2,
    'doorward_sign_ups_total{result="email_taken"}': 2,
    'doorward_tokens_total{kind="single_use"}': 2,
    'doorward_limit_refusals_total{limit="misses"}': 2,
    doorward_audit_events_lost_total: 6,
    'doorward_outbox_attempts_total{lane="sessions_ended",outcome="delivered"}': 2,
    doorward_revocation_lag_seconds_sum: 9,
    'doorward_build_info{version="1.2.3"}': 1,
  };
  t.match(await lines(), counted);
  tell(channels.breaker, { part: 'redis', isOpen: false });
  t.match(await lines(), { ...counted, 'doorward_breaker_open{part="redis"}': 0 });
  metrics.close();
  publishAll();
  t.match(await lines(), { ...counted, 'doorward_breaker_open{part="redis"}': 0 });
});

test('a sign-out counts as late only once it has arrived, and other messages never', async (t) => {
  const { lines } = open(t);
  const delivery = { attempts: 1, durationMs: 1_000, ageMs: 0 };
  tell(channels.delivery, { ...delivery, kind: 'sessions_ended', outcome: 'failed' });
  tell(channels.delivery, { ...delivery, kind: 'mail', outcome: 'delivered' });
  t.match(await lines(), {
    doorward_revocation_lag_seconds_count: 0,
    'doorward_outbox_attempts_total{lane="sessions_ended",outcome="failed"}': 1,
    'doorward_outbox_attempts_total{lane="mail",outcome="delivered"}': 1,
  });
});

test('a request to no route is one line, whatever its method', async (t) => {
  const { lines } = open(t);
  for (const method of ['GET', 'PROPFIND', 'M-SEARCH'])
    tell(channels.request, { ...request, method, route: undefined, status: 404 });
  const found = Object.entries(await lines()).filter(([name]) =>
    name.startsWith(requestLine('').slice(0, -1)),
  );
  t.same(found, [[requestLine('method="any",route="unknown",code="404"'), 3]]);
});

test('listens on every channel while it is open, and on none before and after', async (t) => {
  const all = [
    ...Object.values(channels),
    ...[operations.database, operations.redis].flatMap(({ start, asyncEnd }) => [start, asyncEnd]),
  ];
  const heard = () => all.filter(({ name }) => hasSubscribers(name)).length;
  t.equal(heard(), 0);
  const metrics = openMetrics({ version: '1' });
  t.equal(heard(), all.length);
  metrics.close();
  t.equal(heard(), 0);
});

test('measures calls to the database and to Redis by their names, and tells those that failed', async (t) => {
  const early = Promise.withResolvers<void>();
  const { lines, metrics } = open(t);
  metrics.close();
  // Somebody else listens when this call starts, and the metrics only when it ends.
  const other = { start: () => {} };
  operations.redis.subscribe(other);
  t.teardown(() => operations.redis.unsubscribe(other));
  const underWay = traced(operations.redis, 'get', () => early.promise);
  const second = open(t);
  early.resolve();
  await underWay;
  await traced(operations.redis, 'get', async () => 'value');
  await t.rejects(
    traced(operations.database, 'sessions.findAll', async () => Promise.reject(new AppError('unavailable'))),
  );
  t.match(await second.lines(), {
    'doorward_redis_call_duration_seconds_count{call="get",outcome="ok"}': 1,
    'doorward_database_call_duration_seconds_count{call="sessions.findAll",outcome="error"}': 1,
  });
  t.notOk(
    Object.keys(await lines()).some((name) => name.startsWith('doorward_redis_call_duration_seconds_count')),
  );
});

test('in OpenMetrics, a request has the trace that it was part of; the usual text has none', async (t) => {
  const { scrape } = open(t);
  tell(channels.request, { ...request, traceId: '0af7651916cd43dd8448eb211c80319c' });
  tell(channels.request, { ...request, durationMs: 300 });
  const open1 = await scrape(OPEN_METRICS);
  t.match(
    open1,
    /_bucket\{le="0\.005",.*\} 1 # \{trace_id="0af7651916cd43dd8448eb211c80319c"\} 0\.003 [\d.]+\n/,
  );
  t.equal(open1.match(/trace_id/g)?.length, 1);
  t.ok(open1.endsWith('# EOF\n'));
  t.notMatch(await scrape(), /trace_id|EOF/);
});

test('each format has its own names of counters, in whatever order they are asked for', async (t) => {
  const { scrape } = open(t);
  for (const accept of [undefined, OPEN_METRICS, '*/*', OPEN_METRICS, undefined]) {
    const text = await scrape(accept);
    const family = accept === OPEN_METRICS ? 'doorward_tokens' : 'doorward_tokens_total';
    t.match(text, `# TYPE ${family} counter\ndoorward_tokens_total{kind="access"} 0\n`);
  }
});

test('the metrics of several processes become one: sums, and the worst of what must not be added', async (t) => {
  const [one, other] = [open(t).metrics, open(t).metrics];
  tell(channels.request, request);
  one.watch(fakeState({ untilRotationMs: 5_000, queued: 1 }));
  other.watch(fakeState({ untilRotationMs: 3_000, queued: 2 }));
  // As a worker sends it to its primary.
  const snapshots = JSON.parse(JSON.stringify([await one.read(), await other.read()]));
  const lines = linesOf((await expose(snapshots)).text);
  t.match(lines, {
    [requestLine('method="POST",route="/token",code="200"')]: 2,
    doorward_password_hashes_queued: 3,
    doorward_signing_key_next_rotation_seconds: 3,
    'doorward_outbox_depth{lane="sessions_ended"}': 4,
    'doorward_breaker_open{part="redis"}': 0,
    'doorward_build_info{version="1.2.3"}': 1,
  });
  t.match((await expose(snapshots, OPEN_METRICS)).text, 'doorward_tokens_total{kind="access"} 0\n');
  t.equal((await expose([])).text, '\n');
});

test('tells about the process: its event loop, memory and garbage', async (t) => {
  const names = Object.keys(await open(t).lines());
  for (const name of [
    'nodejs_eventloop_lag_p99_seconds',
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
  ])
    t.ok(names.includes(name), name);
});
