import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Attributes,
  type Context,
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { AppError } from '../core/errors.ts';
import { type Operation, type OperationChannel, operations } from '../core/trace-channels.ts';
import { DatabaseError } from '../db/database-guard.ts';
import { errorName } from '../outbox/outbox-rules.ts';

type Description = { name: string; kind: SpanKind; attributes: Attributes };

/**
 * Makes a span of each operation that is part of a trace, and a new trace of a delivery that no request waits for. Other
 * work in the background is not traced: there is some every second, and it shows nothing.
 * @param isEmbedded database and cache are in this process
 * @returns stops it
 */
export function followOperations(tracer: Tracer, isEmbedded: boolean): () => void {
  const kind = isEmbedded ? SpanKind.INTERNAL : SpanKind.CLIENT;
  const stops = [
    follow(tracer, operations.database, false, (name) => ({
      name,
      kind,
      attributes: { 'db.system.name': 'postgresql', 'db.operation.name': name },
    })),
    follow(tracer, operations.redis, false, (name) => ({
      name: `cache.${name}`,
      kind,
      attributes: { ...(!isEmbedded && { 'db.system.name': 'redis' }), 'db.operation.name': name },
    })),
    follow(tracer, operations.delivery, true, (lane) => ({
      name: `deliver ${lane}`,
      kind: SpanKind.CONSUMER,
      attributes: { 'messaging.operation.name': 'deliver', 'messaging.destination.name': lane },
    })),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** The span that is the parent of what the current operation does. */
const current = new AsyncLocalStorage<Context | undefined>();

function follow(
  tracer: Tracer,
  channel: OperationChannel,
  mayBegin: boolean,
  describe: (name: string) => Description,
): () => void {
  const spans = new WeakMap<Operation, Span>();

  /** @returns the context of what the operation does */
  const begin = (operation: Operation): Context | undefined => {
    const parent = current.getStore() ?? context.active();
    const isPart = trace.getSpan(parent)?.isRecording() ?? mayBegin;
    if (!isPart) return undefined;
    const { name, ...options } = describe(operation.name);
    const span = tracer.startSpan(name, options, parent);
    spans.set(operation, span);
    return trace.setSpan(parent, span);
  };
  const fail = (message: unknown): void => {
    const { error } = message as { error: unknown };
    spans.get(message as Operation)?.setStatus({ code: SpanStatusCode.ERROR });
    spans.get(message as Operation)?.setAttributes(describeError(error));
  };
  const end = (message: unknown): void => spans.get(message as Operation)?.end();

  channel.start.bindStore(current, begin);
  channel.error.subscribe(fail);
  channel.asyncEnd.subscribe(end);
  return () => {
    channel.start.unbindStore(current);
    channel.error.unsubscribe(fail);
    channel.asyncEnd.unsubscribe(end);
  };
}

/** Never its message, which may quote a parameter. */
function describeError(error: unknown): Attributes {
  const cause = error instanceof AppError ? error.cause : error;
  return {
    'error.type': errorName(error),
    ...(cause instanceof DatabaseError && { 'db.response.status_code': cause.sqlState }),
  };
}
