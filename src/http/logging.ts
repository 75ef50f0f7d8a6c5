import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  type Bindings,
  type ChildLoggerOptions,
  type DestinationStream,
  type Level,
  type LogFn,
  type LoggerOptions,
  pino,
} from 'pino';
import { clientAddress } from './client-address.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the trace that this request is recorded in. */
    traceId?: string;
  }
}

/** Fields whose values are never written, in any logged object. */
const SECRET_FIELDS = [
  'password',
  'cookie',
  'authorization',
  'set-cookie',
  'access_token',
  'client_secret',
  'client_assertion',
  'generateToken',
  'token',
];

const REDACTED = SECRET_FIELDS.flatMap((field) => [`["${field}"]`, `*["${field}"]`, `*.*["${field}"]`]);

/**
 * The server's logger: JSON lines, or readable lines on a terminal.
 * @param level of pino, or `silent`
 */
export function createLogger(
  level: string,
  isTerminal: boolean,
  destination?: DestinationStream,
): FastifyBaseLogger {
  const options: LoggerOptions = {
    level,
    redact: { paths: REDACTED, censor: '[redacted]' },
    serializers: { err: serializeError, req: serializeRequest },
    ...(isTerminal && {
      transport: {
        target: 'pino-pretty',
        options: { ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' },
      },
    }),
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/**
 * Logs one line for each request: at level `error` if it failed on our side, else `info`. A route that sets `logLevel:
 * 'warn'` is called too often for that, and its lines are for `debug`.
 */
export function addRequestLog(app: FastifyInstance): void {
  // Each field of these lines is chosen here: redaction would cost more than everything else about them.
  const log = app.log.child({}, { redact: [] } as ChildLoggerOptions);
  app.addHook('onResponse', (request, reply, done) => {
    logAnswer(log, request, reply);
    done();
  });
}

/** The same line, for an answer that no hook sees. */
export function logAnswerWhenSent(request: FastifyRequest, reply: FastifyReply): void {
  reply.raw.once('finish', () => logAnswer(reply.server.log, request, reply));
}

function logAnswer(log: FastifyBaseLogger, request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode } = reply;
  const usual = request.log.level === log.level ? 'info' : 'debug';
  const level = statusCode >= 500 ? 'error' : usual;
  if (!isWritten(level, log.level)) return;
  const ms = Math.round(reply.elapsedTime * 10) / 10;
  const failure = failures.get(request);
  const message = failure === undefined ? 'answered' : 'request failed';
  const { id, traceId } = request;
  log[level]({ reqId: id, traceId, req: request, statusCode, ms, ...failure }, message);
}

const failures = new WeakMap<FastifyRequest, { err: unknown; code: string }>();

/** Puts the error that made a request fail, and the code that its client gets, into the request's line in the log. */
export function noteFailure(request: FastifyRequest, err: unknown, code: string): void {
  failures.set(request, { err, code });
}

/**
 * Fastify's `childLoggerFactory`: a request's logger that is created when it writes its first line. Creating pino's
 * costs more than the look-up of the session, and most requests write no line.
 */
export function createRequestLogger(
  parent: FastifyBaseLogger,
  bindings: Bindings,
  options: ChildLoggerOptions,
): FastifyBaseLogger {
  return new RequestLogger(parent, bindings, options);
}

class RequestLogger implements FastifyBaseLogger {
  readonly level: string;
  readonly #parent: FastifyBaseLogger;
  readonly #bindings: Bindings;
  readonly #options: ChildLoggerOptions;
  #logger: FastifyBaseLogger | undefined;

  constructor(parent: FastifyBaseLogger, bindings: Bindings, options: ChildLoggerOptions) {
    this.#parent = parent;
    this.#bindings = bindings;
    this.#options = options;
    this.level = options.level ?? parent.level;
  }

  trace(...args: unknown[]): void {
    this.#write('trace', args);
  }
  debug(...args: unknown[]): void {
    this.#write('debug', args);
  }
  info(...args: unknown[]): void {
    this.#write('info', args);
  }
  warn(...args: unknown[]): void {
    this.#write('warn', args);
  }
  error(...args: unknown[]): void {
    this.#write('error', args);
  }
  fatal(...args: unknown[]): void {
    this.#write('fatal', args);
  }
  silent(): void {}

  child(bindings: Bindings, options?: ChildLoggerOptions): FastifyBaseLogger {
    return this.#own().child(bindings, options);
  }

  #write(level: Level, args: unknown[]): void {
    if (isWritten(level, this.level)) this.#own()[level](...(args as Parameters<LogFn>));
  }

  #own(): FastifyBaseLogger {
    this.#logger ??= this.#parent.child(this.#bindings, this.#options);
    return this.#logger;
  }
}

/** @param threshold a level, or `silent`, which no level reaches */
function isWritten(level: Level, threshold: string): boolean {
  return severityOf(level) >= severityOf(threshold);
}

/** NaN for `silent`. */
function severityOf(level: string): number {
  return Number(pino.levels.values[level]);
}

/** The route instead of the URL: a secret that was put into a path or a query by mistake stays out of the log. */
function serializeRequest(request: FastifyRequest): object {
  return { method: request.method, route: request.routeOptions.url ?? null, ip: clientAddress(request) };
}

/** Message, code and stack of an error and its causes, no other field: drivers add queries and parameters to theirs. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const code = (error as { code?: unknown }).code;
  return {
    type: name,
    message,
    ...(typeof code === 'string' && { code }),
    stack,
    ...(cause !== undefined && { cause: serializeError(cause) }),
  };
}
