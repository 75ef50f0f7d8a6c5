import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify';
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

/** Never written, wherever an object with such a field is logged. */
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
 * The server's logger: JSON lines, or lines for people where a person is watching.
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

/** One line a request, at the level that its route and its outcome deserve. */
export function addRequestLog(app: FastifyInstance): void {
  // What these lines hold is chosen here, field by field: looking for secrets in them would cost more than all the rest.
  const log = app.log.child({}, { redact: [] } as ChildLoggerOptions);
  app.addHook('onResponse', (request, reply, done) => {
    const { statusCode } = reply;
    const level = statusCode >= 500 ? 'error' : 'info';
    if (severityOf(level) >= severityOf(request.log.level)) {
      const ms = Math.round(reply.elapsedTime * 10) / 10;
      log[level]({ reqId: request.id, req: request, statusCode, ms }, 'answered');
    }
    done();
  });
}

/**
 * Fastify's `childLoggerFactory`: a request's logger that comes into being with the first line it writes. Making pino's
 * costs more than looking up the session does, and most requests have nothing to tell.
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
    if (severityOf(level) >= severityOf(this.level)) this.#own()[level](...(args as Parameters<LogFn>));
  }

  #own(): FastifyBaseLogger {
    this.#logger ??= this.#parent.child(this.#bindings, this.#options);
    return this.#logger;
  }
}

/** `silent` is above all of them. */
function severityOf(level: string): number {
  return Number(pino.levels.values[level]);
}

/** The route and not the URL: what somebody put into a path or a query by mistake stays out of the log. */
function serializeRequest(request: FastifyRequest): object {
  return { method: request.method, route: request.routeOptions.url ?? null, ip: clientAddress(request) };
}

/** Message, code and stack of an error and of its causes, and no other field: drivers hang queries and parameters on theirs. */
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
