import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { eventually } from './adapters.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** A span as the collector got it. The kind is a number of OTLP: 1 internal, 2 server, 3 client, 5 consumer. */
export type ReceivedSpan = {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  traceState: string;
  name: string;
  kind: number;
  attributes: Record<string, unknown>;
  /** 0 unset, 2 error. */
  statusCode: number;
  statusMessage: string;
  events: number;
  links: number;
  resource: Record<string, unknown>;
};

export type Collector = {
  url: string;
  spans(): ReceivedSpan[];
  /** Everything that was sent, as text: to look for what must not be there. */
  payload(): string;
  requests: { path: string; headers: IncomingHttpHeaders }[];
  /** Waits for spans: those that the test looks for, all there at the same time. */
  wait(find: (spans: ReceivedSpan[]) => boolean): Promise<ReceivedSpan[]>;
};

/** The part of OTLP's opentelemetry/proto/collector/trace/v1 that traces of ours use. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Request { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message ScopeSpans { repeated Span spans = 2; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
    int32 kind = 6; repeated KeyValue attributes = 9; repeated Any events = 11; repeated Any links = 13; Status status = 15;
  }
  message Any {}
  message Status { string message = 2; int32 code = 3; }
  message KeyValue { string key = 1; Value value = 2; }
  message Value { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
`);
const Request = root.lookupType('Request');

/**
 * A collector that speaks OTLP over HTTP on loopback, in both encodings.
 * @param answer for a collector that is not well: it answers by itself, or never
 */
export async function startCollector(
  t: Teardown,
  answer: (response: ServerResponse) => void = (response) => void response.end(),
): Promise<Collector> {
  const requests: Collector['requests'] = [];
  const spans: ReceivedSpan[] = [];
  let payload = '';
  const server = createServer(async (request, response) => {
    const sent = Buffer.concat(await request.toArray());
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    payload += body.toString('latin1');
    spans.push(...readSpans(String(request.headers['content-type']), body));
    requests.push({ path: String(request.url), headers: request.headers });
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => spans,
    payload: () => payload,
    requests,
    wait: (find) =>
      eventually(() => {
        if (!find(spans)) throw new Error(`not there: ${spans.map(({ name }) => name).join(', ')}`);
        return spans;
      }),
  };
}

type Sent = { resourceSpans: { resource: { attributes: Pair[] }; scopeSpans: { spans: SentSpan[] }[] }[] };
type Pair = { key: string; value: Record<string, unknown> };
type SentSpan = Omit<ReceivedSpan, 'attributes' | 'resource' | 'events' | 'links'> & {
  attributes?: Pair[];
  status?: { code?: number; message?: string };
  events?: unknown[];
  links?: unknown[];
};

function readSpans(contentType: string, body: Buffer): ReceivedSpan[] {
  const sent = contentType === 'application/json' ? JSON.parse(body.toString()) : decode(body);
  return (sent as Sent).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map((span) => readSpan(span, toRecord(resource.attributes)))),
  );
}

/** Bytes become base64 by this, and identifiers are hexadecimal in OTLP's JSON. */
function decode(body: Buffer): unknown {
  const sent = Request.toObject(Request.decode(body), { bytes: String, longs: Number }) as Sent;
  const toHex = (base64?: string) => Buffer.from(base64 ?? '', 'base64').toString('hex');
  for (const { scopeSpans } of sent.resourceSpans) {
    for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
      span.traceId = toHex(span.traceId);
      span.spanId = toHex(span.spanId);
      span.parentSpanId = toHex(span.parentSpanId);
    }
  }
  return sent;
}

function readSpan(span: SentSpan, resource: Record<string, unknown>): ReceivedSpan {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? '',
    traceState: span.traceState ?? '',
    name: span.name,
    kind: span.kind,
    attributes: toRecord(span.attributes ?? []),
    statusCode: span.status?.code ?? 0,
    statusMessage: span.status?.message ?? '',
    events: span.events?.length ?? 0,
    links: span.links?.length ?? 0,
    resource,
  };
}

function toRecord(pairs: Pair[]): Record<string, unknown> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, Object.values(value)[0]]));
}
