import { randomUUID } from 'node:crypto';
import { FastifyOtelInstrumentation } from '@fastify/otel';
import { context, DiagLogLevel, diag, propagation, type Span, type SpanContext } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config, Texts } from '../config/settings.ts';
import { steadyClock } from '../core/clock.ts';
import { within } from '../core/deadline.ts';
import type { Log } from '../core/log.ts';
import { toAppError } from '../http/problem.ts';
import { createProxyTrust } from '../http/trusted-proxies.ts';
import { followOperations } from './operation-spans.ts';
import { withCleanSpans } from './span-hygiene.ts';
import { createTraceComplaints } from './trace-complaints.ts';

/** Adds spans to a new app: call it before the routes are added. They are sent until the app closes. */
export type Instrument = (app: FastifyInstance) => Promise<void>;

/** At the end: a collector that does not answer must not hold up the end of the process. */
const LAST_EXPORT_MS = 2_000;

/**
 * Starts OpenTelemetry in this process. Sampling, headers, batches and names come from its own environment variables.
 * Only the W3C's trace context is read, no baggage.
 */
export async function startTraces(config: Config, env: Texts, log: Log): Promise<Instrument> {
  const complaints = createTraceComplaints(log, steadyClock);
  diag.setLogger(complaints.diagnostics, DiagLogLevel.WARN);
  setGlobalErrorHandler(complaints.exportFailed);
  const provider = new BasicTracerProvider({
    resource: resourceOf(packageJson.version),
    spanProcessors: [new BatchSpanProcessor(withCleanSpans(await openExporter(env, log)))],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const unfollow = followOperations(
    provider.getTracer(packageJson.name, packageJson.version),
    config.REDIS_URL === undefined,
  );

  return async (app) => {
    await addRequestSpans(app, provider, config);
    app.addHook('onClose', async () => {
      unfollow();
      const late = () => new Error('the collector did not take the last traces in time');
      await within(provider.shutdown(), LAST_EXPORT_MS, late).catch(complaints.exportFailed);
      for (const api of [context, propagation, diag]) api.disable();
    });
  };
}

/** What the operator says about this process has priority. Nothing is read from the machine or the command line. */
function resourceOf(version: string) {
  const own = resourceFromAttributes({
    'service.name': packageJson.name,
    'service.version': version,
    'service.instance.id': randomUUID(),
  });
  return defaultResource()
    .merge(own)
    .merge(detectResources({ detectors: [envDetector] }));
}

async function openExporter(env: Texts, log: Log): Promise<SpanExporter> {
  const protocol =
    env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf';
  if (protocol === 'http/json') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return new OTLPTraceExporter();
  }
  if (protocol !== 'http/protobuf')
    log.warn({}, 'traces are sent as http/protobuf: OTEL_EXPORTER_OTLP_PROTOCOL names something else');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter();
}

/** A span for each request. The plugin's own spans of hooks and handlers would cost more than they show. */
async function addRequestSpans(
  app: FastifyInstance,
  provider: BasicTracerProvider,
  { PATH_PREFIX, TRUSTED_PROXIES }: Config,
): Promise<void> {
  const isTrusted = createProxyTrust(TRUSTED_PROXIES);
  // Otherwise every client could have its requests sampled, or hide them in the traces of others.
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    if (raw.headers.traceparent !== undefined && !isTrusted(raw.socket.remoteAddress))
      delete raw.headers.traceparent;
    done();
  });
  const instrumentation = new FastifyOtelInstrumentation({
    instrumentHooks: false,
    instrumentHandler: false,
    recordExceptions: false,
    // Probes come every few seconds, and show nothing.
    ignorePaths: ({ url }) => url.startsWith(`${PATH_PREFIX}/health/`),
    requestHook: (span, request) => {
      const { url } = request.routeOptions;
      span.updateName(url === undefined ? request.method : `${request.method} ${url}`);
      if (span.isRecording()) request.traceId = span.spanContext().traceId;
    },
  });
  instrumentation.setTracerProvider(provider);
  await app.register(instrumentation.plugin());
  addErrorTypes(app);
  nameTrace(app);
}

/** The code of the problem; the plugin would record the message, which is removed later. */
function addErrorTypes(app: FastifyInstance): void {
  app.addHook('onError', (request, _reply, error, done) => {
    spanOf(request)?.setAttribute('error.type', toAppError(error).code);
    done();
  });
}

/** Tells the caller which trace its request is recorded in, in the header that the W3C has drafted for answers. */
function nameTrace(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const span = spanOf(request);
    if (span !== null) reply.header('traceresponse', responseOf(span.spanContext()));
    done(null, payload);
  });
}

/** Null for a request that is not recorded: most are not, and they must cost little. */
function spanOf(request: FastifyRequest): Span | null {
  return request.traceId === undefined ? null : request.opentelemetry().span;
}

function responseOf({ traceId, spanId }: SpanContext): string {
  return `00-${traceId}-${spanId}-01`;
}
