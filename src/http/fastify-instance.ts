import { randomUUID } from 'node:crypto';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Config } from '../config/config.ts';
import { AppError } from '../core/errors.ts';
import { STALLED_CONNECTION_MS } from './connection-limits.ts';
import type { Lifecycle } from './health-routes.ts';
import { addRequestLog, createRequestLogger } from './logging.ts';
import { refuseConnection, sendProblem } from './problem.ts';
import { addResponseHeaders } from './response-headers.ts';
import { isText } from './schemas.ts';

const BODY_LIMIT_BYTES = 16 * 1024;
/** Time for a whole request, and for its headers, to arrive. */
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5_000;

/** An instance with limits on requests, and problem documents for what the framework refuses; without routes. */
export function createFastify(config: Config, logger: FastifyBaseLogger): FastifyInstance {
  return Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: createRequestLogger,
    genReqId: () => randomUUID(),
    trustProxy: config.TRUSTED_PROXIES.length > 0 ? config.TRUSTED_PROXIES : false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: STALLED_CONNECTION_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2 },
    // /health/ready and `Connection: close` announce the shutdown first; a request that still arrives is served.
    return503OnClosing: false,
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: true,
        formats: { text: isText },
      },
    },
    frameworkErrors: sendProblem,
    clientErrorHandler: refuseConnection,
  });
}

/** Adds what every answer has, errors included. */
export function addEdges(app: FastifyInstance, lifecycle: Lifecycle): void {
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => sendProblem(new AppError('not_found'), request, reply));
  addRequestLog(app);
  addResponseHeaders(app);
  // At the end of a request, so that one which was already running does not leave an idle connection either.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (lifecycle.draining) reply.header('connection', 'close');
    done(null, payload);
  });
}
