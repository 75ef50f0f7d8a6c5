import { once } from 'node:events';
import { request as httpRequest, type ServerResponse } from 'node:http';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Log } from '../../src/core/log.ts';
import { operations, traced } from '../../src/core/trace-channels.ts';
import { addRequestLog, createLogger } from '../../src/http/logging.ts';
import { sendProblem } from '../../src/http/problem.ts';
import { startTraces } from '../../src/metrics/traces.ts';
import { type Collector, type ReceivedSpan, startCollector } from '../support/otlp-collector.ts';

type Teardown = { teardown(undo: () => unknown): void };

const TRACE = 'a'.repeat(32);
const PARENT = 'b'.repeat(16);
const sampled = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'gateway=1' };
const PROXY = '10.1.2.3';
const SECRET = 'c4nary';

/** An app with routes of its own, and what the collector got once it is closed. OpenTelemetry reads the environment. */
async function run(
  t: Teardown,
  use: (app: FastifyInstance) => Promise<unknown>,
  env: Record<string, string> = {},
  settings: Record<string, string> = {},
  answer?: (response: ServerResponse) => void,
): Promise<{ collector: Collector; spans: ReceivedSpan[]; warnings: string[]; logged: string[] }> {
  const collector = await startCollector(t, answer);
  const all = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env };
  Object.assign(process.env, all);
  t.teardown(() => {
    for (const name of Object.keys(all)) delete process.env[name];
  });
  const warnings: string[] = [];
  const log: Log = { debug: () => {}, error: () => {}, warn: (_, message) => void warnings.push(message) };
  const config = loadConfig({ TRUSTED_PROXIES: '10.0.0.0/8', ...settings, ...all });
  const logged: string[] = [];
  const app = Fastify({
    loggerInstance: createLogger('error', false, { write: (line) => void logged.push(line) }),
    logController: new LogController({ disableRequestLogging: true }),
  });
  app.setErrorHandler(sendProblem);
  addRequestLog(app);
  await (await startTraces(config, process.env, log))(app);
  addRoutes(app);
  await use(app);
  await app.close();
  return { collector, spans: collector.spans(), warnings, logged };
}

function addRoutes(app: FastifyInstance): void {
  const read = () => traced(operations.database, 'things.read', async () => ({}));
  app.post('/things/:id', read);
  app.get('/health/live', read);
  app.get('/refused', async () => {
    throw new AppError('session_not_found');
  });
  app.get('/broken', async () => {
    throw new Error(`a message with ${SECRET}`);
  });
}

const post = (id: string, headers = {}, remoteAddress = '192.0.2.1') => ({
  method: 'POST' as const,
  url: `/things/${id}?q=${SECRET}`,
  headers,
  remoteAddress,
  payload: { a: SECRET },
});

test('a request is a span, and what its handler does after the body has been read is below it', async (t) => {
  const { spans, collector } = await run(t, (app) => app.inject(post(SECRET)));
  const [read, request] = spans;
  t.equal(spans.length, 2);
  t.match(request, {
    name: 'POST /things/:id',
    kind: 2,
    parentSpanId: '',
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/things/:id',
      'http.response.status_code': 200,
    },
  });
  t.match(read, { name: 'things.read', traceId: request?.traceId, parentSpanId: request?.spanId });
  t.notOk(collector.payload().includes(SECRET));
});

test('so is what a handler does whose request has a body that comes late', async (t) => {
  const { spans } = await run(t, async (app) => {
    const url = new URL('/things/1', await app.listen({ port: 0, host: '127.0.0.1' }));
    const headers = { 'content-type': 'application/json', 'content-length': 2 };
    const request = httpRequest(url, { method: 'POST', headers, agent: false });
    const answered = once(request, 'response');
    request.flushHeaders();
    await once(app.server, 'request');
    request.end('{}');
    const [response] = await answered;
    response.resume();
    await once(response, 'end');
  });
  const [read, request] = spans;
  t.match(read, { name: 'things.read', parentSpanId: request?.spanId });
});

test('a trace goes on when a trusted proxy sends its context, and begins anew for everyone else', async (t) => {
  const { spans } = await run(t, async (app) => {
    await app.inject(post('1', sampled, PROXY));
    await app.inject(post('2', sampled));
    await app.inject(post('3', { traceparent: 'nonsense' }, PROXY));
  });
  const [proxied, direct, garbled] = spans.filter(({ kind }) => kind === 2);
  t.match(proxied, { traceId: TRACE, parentSpanId: PARENT, traceState: 'gateway=1' });
  for (const root of [direct, garbled]) {
    t.not(root?.traceId, TRACE);
    t.match(root, { parentSpanId: '', traceState: '' });
  }
});

test('an answer names the trace that its request is recorded in', async (t) => {
  const answers: unknown[] = [];
  const { spans } = await run(t, async (app) => {
    for (const url of ['/refused', '/nowhere', '/health/live'])
      answers.push((await app.inject(url)).headers.traceresponse);
    const unsampled = { traceparent: `00-${TRACE}-${PARENT}-00` };
    answers.push((await app.inject(post('1', unsampled, PROXY))).headers.traceresponse);
  });
  const named = spans.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`);
  t.equal(named.length, 2);
  t.same(answers, [...named, undefined, undefined]);
});

test('without trusted proxies no context is believed', async (t) => {
  const { spans } = await run(t, (app) => app.inject(post('1', sampled, PROXY)), {}, { TRUSTED_PROXIES: '' });
  t.not(spans[0]?.traceId, TRACE);
});

test('OTEL_TRACES_SAMPLER decides where no trusted proxy has', async (t) => {
  const { spans } = await run(
    t,
    async (app) => {
      await app.inject(post('1'));
      await app.inject(post('2', sampled));
      await app.inject(post('3', sampled, PROXY));
      await app.inject(post('4', { traceparent: `00-${TRACE}-${PARENT}-00` }, PROXY));
    },
    { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' },
  );
  t.same(
    spans.map(({ traceId, name }) => [traceId, name]),
    [
      [TRACE, 'things.read'],
      [TRACE, 'POST /things/:id'],
    ],
  );
});

test('a refusal is no failure of the server, and a failure has a code and no message', async (t) => {
  const { spans, collector, logged } = await run(t, async (app) => {
    await app.inject('/refused');
    await app.inject('/broken');
    await app.inject(`/${SECRET}`);
  });
  t.match(spans, [
    { name: 'GET /refused', statusCode: 0, attributes: { 'error.type': 'session_not_found' } },
    { name: 'GET /broken', statusCode: 2, statusMessage: '', attributes: { 'error.type': 'internal_error' } },
    { name: 'GET', statusCode: 0, attributes: { 'http.response.status_code': 404 } },
  ]);
  t.match(JSON.parse(String(logged[0])), { msg: 'request failed', traceId: spans[1]?.traceId });
  t.notOk(collector.payload().includes(SECRET));
});

test('probes are not traced, nor is what they do', async (t) => {
  const { spans } = await run(t, (app) => app.inject('/health/live?x=1'));
  t.same(spans, []);
});

test('says what the process is, and the operator may say it better', async (t) => {
  const { spans: own } = await run(t, (app) => app.inject('/refused'));
  t.match(own[0]?.resource, {
    'service.name': 'doorward',
    'service.version': /^\d+\.\d+\.\d+/,
    'service.instance.id': /^[\da-f-]{36}$/,
  });
  const { spans } = await run(t, (app) => app.inject('/refused'), {
    OTEL_SERVICE_NAME: 'auth',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=blue,service.instance.id=pod-1',
  });
  t.match(spans[0]?.resource, {
    'service.name': 'auth',
    'service.instance.id': 'pod-1',
    'deployment.environment.name': 'blue',
  });
  t.notMatch(Object.keys(spans[0]?.resource ?? {}).join(), /process\.|host\./);
});

test('sends the headers that the collector asks for, and JSON if told so', async (t) => {
  const { collector } = await run(t, (app) => app.inject('/refused'), {
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=abc',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  });
  t.match(collector.requests, [
    { path: '/v1/traces', headers: { 'content-type': 'application/json', 'x-key': 'abc' } },
  ]);
  t.match(collector.spans(), [{ name: 'GET /refused' }]);
});

test('speaks no gRPC and knows no such sampler, and says so', async (t) => {
  const { collector, warnings } = await run(t, (app) => app.inject('/refused'), {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_TRACES_SAMPLER: 'sometimes',
  });
  t.match(collector.requests, [{ headers: { 'content-type': 'application/x-protobuf' } }]);
  t.match(warnings, [/http\/protobuf/, /^OpenTelemetry: OTEL_TRACES_SAMPLER value "sometimes" invalid/]);
});

/** Small, so that the queue is full within a test. */
const pressed = {
  OTEL_BSP_SCHEDULE_DELAY: '10',
  OTEL_BSP_MAX_QUEUE_SIZE: '20',
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
};
const impatient = { OTEL_EXPORTER_OTLP_TIMEOUT: '100', OTEL_BSP_EXPORT_TIMEOUT: '200' };

const unwell: {
  what: string;
  env: Record<string, string>;
  answer?: (to: ServerResponse) => void;
  says: RegExp;
}[] = [
  {
    what: 'is away',
    env: { ...impatient, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' },
    says: /collector did not take them: (ECONNREFUSED|Timeout)/,
  },
  {
    what: 'refuses',
    env: {},
    answer: (to) => void to.writeHead(500).end(SECRET),
    says: /collector did not take them: 500/,
  },
  { what: 'never answers', env: impatient, answer: () => {}, says: /timed out|Timeout/ },
];

for (const { what, env, answer, says } of unwell) {
  test(`requests are served, spans dropped, and a line or two logged, while the collector ${what}`, async (t) => {
    const ask = async (app: FastifyInstance) => {
      for (let round = 0; round < 200; round += 1) {
        const { statusCode } = await app.inject('/refused');
        if (statusCode !== 404) t.fail(`${statusCode}`);
      }
    };
    const { warnings } = await run(t, ask, { ...pressed, ...env }, {}, answer);
    t.match(warnings.join('\n'), says);
    t.ok(warnings.length <= 4, warnings.join('\n'));
    t.notMatch(warnings.join(), SECRET);
  });
}
