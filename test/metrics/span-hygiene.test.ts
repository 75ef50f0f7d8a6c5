import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { test } from 'tap';
import { withCleanSpans } from '../../src/metrics/span-hygiene.ts';

function open() {
  const exporter = new InMemorySpanExporter();
  const processor = new SimpleSpanProcessor(withCleanSpans(exporter));
  const provider = new BasicTracerProvider({ spanProcessors: [processor] });
  return { tracer: provider.getTracer('test'), provider, exporter };
}

test('lets out only attributes that are known to hold no secret, and no event, link or message', async (t) => {
  const { tracer, exporter } = open();
  const other = tracer.startSpan('other');
  const span = tracer.startSpan('request', { links: [{ context: other.spanContext() }] });
  span.setAttributes({ 'http.route': '/token', 'url.path': '/token?secret', 'user.email': 'a@example.com' });
  span.recordException(new Error('secret'));
  span.setStatus({ code: SpanStatusCode.ERROR, message: 'secret' });
  span.end();
  const [sent] = exporter.getFinishedSpans();
  t.same(sent?.attributes, { 'http.route': '/token' });
  t.match(sent, { name: 'request', events: [], links: [], ended: true });
  t.same(sent?.status, { code: SpanStatusCode.ERROR });
  t.same(sent?.spanContext(), span.spanContext());
});

test('the span of a request has failed if the server has', async (t) => {
  const { tracer, exporter } = open();
  for (const status of [200, 404, 499, 500, 503]) {
    const span = tracer.startSpan(String(status), { kind: SpanKind.SERVER });
    span.setAttribute('http.response.status_code', status).setStatus({ code: SpanStatusCode.ERROR }).end();
  }
  const failed = exporter.getFinishedSpans().filter(({ status }) => status.code === SpanStatusCode.ERROR);
  t.same(
    failed.map(({ name }) => name),
    ['500', '503'],
  );
});

test('ends with the exporter', async (t) => {
  const { tracer, provider, exporter } = open();
  tracer.startSpan('one').end();
  await provider.shutdown();
  t.same(exporter.getFinishedSpans(), [], 'it forgets its spans when it ends');
});
