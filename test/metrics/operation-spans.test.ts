import { context, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { test } from 'tap';
import { unavailable } from '../../src/core/errors.ts';
import { operations, traced } from '../../src/core/trace-channels.ts';
import { DatabaseError } from '../../src/db/database-guard.ts';
import { followOperations } from '../../src/metrics/operation-spans.ts';

type Teardown = { teardown(undo: () => unknown): void };

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

/** Follows the operations until the test ends. */
function open(t: Teardown, options: { isEmbedded?: boolean; isSampled?: boolean } = {}) {
  const { isEmbedded = false, isSampled = true } = options;
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    ...(!isSampled && { sampler: new AlwaysOffSampler() }),
  });
  const tracer = provider.getTracer('test');
  t.teardown(followOperations(tracer, isEmbedded));
  return { tracer, spans: () => exporter.getFinishedSpans() };
}

/** Like a request that is traced. */
function within<T>(tracer: Tracer, work: () => Promise<T>): Promise<T> {
  const span = tracer.startSpan('request');
  return context.with(trace.setSpan(context.active(), span), work).finally(() => span.end());
}

const nothing = async () => {};
const query = () => traced(operations.database, 'users.find', nothing);
const parentName = (spans: ReadableSpan[], name: string) => {
  const child = spans.find((span) => span.name === name);
  return spans.find((span) => span.spanContext().spanId === child?.parentSpanContext?.spanId)?.name;
};

test('what an operation does is below it, and what comes after it is not', async (t) => {
  const { tracer, spans } = open(t);
  await within(tracer, async () => {
    await traced(operations.database, 'transaction', async () => {
      await query();
      await traced(operations.delivery, 'mail', () => traced(operations.redis, 'put', nothing));
    });
    await traced(operations.redis, 'get', nothing);
  });
  for (const [name, parent] of [
    ['transaction', 'request'],
    ['users.find', 'transaction'],
    ['deliver mail', 'transaction'],
    ['cache.put', 'deliver mail'],
    ['cache.get', 'request'],
  ] as const) {
    t.equal(parentName(spans(), name), parent, name);
  }
});

test('of work in the background only deliveries are traced, with what they do', async (t) => {
  const { spans } = open(t);
  await query();
  await traced(operations.redis, 'get', nothing);
  t.same(spans(), []);
  await traced(operations.delivery, 'mail', query);
  t.same(
    spans().map(({ name }) => name),
    ['users.find', 'deliver mail'],
  );
  t.equal(spans()[1]?.parentSpanContext, undefined);
});

test('nothing is recorded below a request that is not', async (t) => {
  const { tracer, spans } = open(t, { isSampled: false });
  await within(tracer, () => traced(operations.delivery, 'mail', query));
  t.same(spans(), []);
});

test('says which systems it calls, and in embedded mode that it is one itself', async (t) => {
  for (const isEmbedded of [false, true]) {
    await t.test(isEmbedded ? 'embedded' : 'PostgreSQL and Redis', async (t) => {
      const { tracer, spans } = open(t, { isEmbedded });
      await within(tracer, async () => {
        await query();
        await traced(operations.redis, 'get', nothing);
      });
      const kind = isEmbedded ? SpanKind.INTERNAL : SpanKind.CLIENT;
      t.match(spans(), [{ kind }, { kind }, { name: 'request' }]);
      t.same(spans()[0]?.attributes, { 'db.system.name': 'postgresql', 'db.operation.name': 'users.find' });
      t.same(spans()[1]?.attributes, {
        ...(!isEmbedded && { 'db.system.name': 'redis' }),
        'db.operation.name': 'get',
      });
    });
  }
});

test('an error has its code, that of PostgreSQL as well, and no message', async (t) => {
  const { tracer, spans } = open(t);
  for (const error of [
    unavailable(new DatabaseError('57P03', undefined)),
    new DatabaseError('23505', 'users_email'),
    new RangeError('a@example.com is too long'),
    'a text',
  ]) {
    const failing = () => traced(operations.database, 'users.find', () => Promise.reject(error));
    await within(tracer, () => t.rejects(failing(), error as Error));
  }
  const failed = spans().filter(({ name }) => name === 'users.find');
  for (const { status, events } of failed) {
    t.same(status, { code: SpanStatusCode.ERROR });
    t.same(events, []);
  }
  t.match(failed, [
    { attributes: { 'error.type': 'unavailable', 'db.response.status_code': '57P03' } },
    { attributes: { 'error.type': 'DatabaseError', 'db.response.status_code': '23505' } },
    { attributes: { 'error.type': 'RangeError', 'db.response.status_code': undefined } },
    { attributes: { 'error.type': 'Error' } },
  ]);
});

test('an error outside of a trace is left alone', async (t) => {
  const { spans } = open(t);
  await t.rejects(
    traced(operations.redis, 'get', () => Promise.reject(new Error('down'))),
    /down/,
  );
  t.same(spans(), []);
});

test('once it has stopped, calls are not published any more', async (t) => {
  const channels = Object.values(operations);
  const stop = followOperations(trace.getTracer('test'), false);
  t.ok(channels.every(({ hasSubscribers }) => hasSubscribers));
  stop();
  t.notOk(channels.some(({ hasSubscribers }) => hasSubscribers));
});
