import { type Attributes, SpanKind, type SpanStatus, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';

/**
 * All that spans may say. @fastify/otel and whatever comes with an update also record URLs, messages and names of
 * functions: a URL may have a secret that was put into it by mistake, and a message may quote a parameter.
 */
export const ALLOWED_ATTRIBUTES: ReadonlySet<string> = new Set([
  'http.request.method',
  'http.route',
  'http.response.status_code',
  'error.type',
  'db.system.name',
  'db.operation.name',
  'db.response.status_code',
  'messaging.operation.name',
  'messaging.destination.name',
]);

/** An exporter that only gets to see what may leave the process. */
export function withCleanSpans(exporter: SpanExporter): SpanExporter {
  return {
    export: (spans, done) => exporter.export(spans.map(cleanSpan), done),
    shutdown: () => exporter.shutdown(),
  };
}

function cleanSpan(span: ReadableSpan): ReadableSpan {
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => span.spanContext(),
    ...(span.parentSpanContext && { parentSpanContext: span.parentSpanContext }),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: span.duration,
    ended: span.ended,
    status: cleanStatus(span),
    attributes: allowed(span.attributes),
    links: [],
    events: [],
    resource: span.resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: span.droppedAttributesCount,
    droppedEventsCount: span.droppedEventsCount,
    droppedLinksCount: span.droppedLinksCount,
  };
}

function allowed(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => ALLOWED_ATTRIBUTES.has(name)));
}

/** Without its message. A server's span has failed when the server did: a 404 is an answer. */
function cleanStatus({ kind, status, attributes }: ReadableSpan): SpanStatus {
  if (kind !== SpanKind.SERVER) return { code: status.code };
  const isFailure = Number(attributes['http.response.status_code']) >= 500;
  return { code: isFailure ? SpanStatusCode.ERROR : SpanStatusCode.UNSET };
}
