import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Config } from '../config/config.ts';
import { AppError, unavailable } from '../core/errors.ts';
import type { Lifecycle } from './health-routes.ts';
import { addRequestLog, createRequestLogger } from './logging.ts';
import { refuseUrl, sendProblem } from './problem.ts';
import { addRequestFacts } from './request-facts.ts';
import { createRequestIds } from './request-id.ts';
import { addResponseHeaders } from './response-headers.ts';
import { isText } from './schemas.ts';

const BODY_LIMIT_BYTES = 16 * 1024;

/**
 * An instance with limits on requests, and problem documents for what the framework refuses; without routes. It does not
 * listen: sockets, and limits on them, are the listener's.
 */
export function createFastify(config: Config, logger: FastifyBaseLogger): FastifyInstance {
  return Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: createRequestLogger,
    genReqId: createRequestIds(config.TRUSTED_PROXIES),
    trustProxy: config.TRUSTED_PROXIES.length > 0 ? config.TRUSTED_PROXIES : false,
    bodyLimit: BODY_LIMIT_BYTES,
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
    frameworkErrors: refuseUrl,
  });
}

/** Adds what every answer has, errors included. */
export function addEdges(app: FastifyInstance, lifecycle: Lifecycle): void {
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => sendProblem(new AppError('not_found'), request, reply));
  addRequestLog(app);
  addRequestFacts(app);
  addResponseHeaders(app);
  // At the end of a request, so that one which was already running does not leave an idle connection either.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (lifecycle.state === 'draining') reply.header('connection', 'close');
    done(null, payload);
  });
}

/** Answers 503 to everything but the routes that exist: for a server whose other routes do not exist yet. */
export function refuseStrangers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    done(request.is404 ? unavailable(new Error('the server is starting')) : undefined);
  });
}
