import { randomUUID } from 'node:crypto';
import fastifyCookie from '@fastify/cookie';
import cors from '@fastify/cors';
import underPressure from '@fastify/under-pressure';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import packageJson from '../package.json' with { type: 'json' };
import { accountRoutes } from './accounts/account-routes.ts';
import type { Adapters } from './adapters/adapters.ts';
import { createMemoryCache } from './adapters/memory-cache.ts';
import { doctorRoutes } from './admin/doctor-routes.ts';
import type { GatewaySettings } from './admin/gateway-report.ts';
import { ASSERTION_ALGORITHMS } from './clients/client-assertion.ts';
import { forwardAuthRoutes, isGatewayDoor, refuseGatewayPreflights } from './clients/forward-auth-routes.ts';
import { oauthRoutes } from './clients/oauth-routes.ts';
import type { Config } from './config.ts';
import { type Clock, createDatabaseClock } from './core/clock.ts';
import { AppError } from './core/errors.ts';
import { createAuthenticate } from './http/authenticate.ts';
import { serveCommands } from './http/command-socket.ts';
import { addOpenApi, docsRoutes } from './http/docs.ts';
import { healthRoutes, type Lifecycle } from './http/health-routes.ts';
import { addRequestLog, createRequestLogger } from './http/logging.ts';
import { addOriginCheck } from './http/origin-check.ts';
import { refuseConnection, sendProblem } from './http/problem.ts';
import { addRateLimits, credentialLimit } from './http/rate-limits.ts';
import { addRequestChecks } from './http/request-checks.ts';
import { addResponseHeaders } from './http/response-headers.ts';
import { isText } from './http/schemas.ts';
import { wellKnownRoutes } from './keys/well-known-routes.ts';
import type { OperatorCommands } from './operator-commands.ts';
import { startServices, type Warn } from './services.ts';
import { createSessionCookie } from './sessions/session-cookie.ts';
import { sessionRoutes } from './sessions/session-routes.ts';
import { tokenRoutes } from './tokens/token-routes.ts';

const BODY_LIMIT_BYTES = 16 * 1024;
/** Time for a whole request, and for its headers, to arrive. */
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5_000;

type Surroundings = { clock: Clock; lifecycle: Lifecycle; logger: FastifyBaseLogger };

/**
 * The whole server, ready to listen or to be injected into.
 * @throws KeyEncryptionKeyError when the stored signing keys do not open
 */
export async function buildApp(
  config: Config,
  adapters: Adapters,
  { clock, lifecycle, logger }: Surroundings,
): Promise<FastifyInstance> {
  const warn: Warn = (context, message) => logger.warn(context, message);
  const services = await startServices(config, adapters, createDatabaseClock(clock), warn);
  const { accounts, sessions, tokens, keys, clients, introspection, forwardAuth } = services;
  const cookie = createSessionCookie({
    mode: config.COOKIE_MODE,
    domain: config.COOKIE_DOMAIN,
    sameSite: config.COOKIE_SAME_SITE,
  });
  const app = createFastify(config, logger);
  app.addHook('onClose', services.close);
  takeCommands(app, adapters.commandSocket, services.commands, warn);

  addEdges(app, lifecycle, config.PATH_PREFIX);
  addRequestChecks(app);
  refuseGatewayPreflights(app, config.PATH_PREFIX);
  await app.register(cors, {
    origin: config.APP_ORIGINS,
    credentials: true,
    // Else an OPTIONS request of another kind would be refused in plain text.
    strictPreflight: false,
    methods: ['GET', 'POST', 'DELETE'],
    exposedHeaders: ['retry-after', 'x-request-id'],
    maxAge: 600,
  });
  addOriginCheck(app, config.APP_ORIGINS);
  await app.register(fastifyCookie);
  await addRateLimits(app, adapters.cache, createMemoryCache(clock));
  await addOpenApi(app, {
    publicUrl: config.PUBLIC_URL,
    prefix: config.PATH_PREFIX,
    cookieName: cookie.name,
    version: packageJson.version,
  });

  const authenticate = createAuthenticate(app, sessions, cookie);
  const limit = credentialLimit(config.CREDENTIAL_RATE_LIMIT);
  const prefix = config.PATH_PREFIX;
  const { pingDatabase, cache } = adapters;
  await app.register(healthRoutes, { prefix, lifecycle, pingDatabase, pingCache: cache.ping });
  await app.register(wellKnownRoutes, {
    prefix,
    keys,
    issuer: config.PUBLIC_URL,
    assertionAlgorithms: ASSERTION_ALGORITHMS,
  });
  await app.register(docsRoutes, { prefix, publicUrl: config.PUBLIC_URL });
  await app.register(
    async (guarded) => {
      await guarded.register(underPressure, { maxEventLoopDelay: config.MAX_EVENT_LOOP_DELAY });
      await guarded.register(accountRoutes, { accounts, authenticate, cookie, limit });
      await guarded.register(sessionRoutes, { sessions, authenticate, cookie });
      await guarded.register(tokenRoutes, { tokens, cookie });
      await guarded.register(oauthRoutes, { clients, introspection, issuer: config.PUBLIC_URL });
      await guarded.register(forwardAuthRoutes, { forwardAuth, cookie, appOrigins: config.APP_ORIGINS });
      await guarded.register(doctorRoutes, {
        tokens,
        introspection,
        settings: gatewaySettings(config, cookie.name),
      });
    },
    { prefix },
  );
  return app;
}

function gatewaySettings(config: Config, cookieName: string): GatewaySettings {
  const cookie = {
    name: cookieName,
    secure: config.COOKIE_MODE !== 'insecure',
    domain: config.COOKIE_DOMAIN,
  };
  return {
    publicUrl: config.PUBLIC_URL,
    pathPrefix: config.PATH_PREFIX,
    trustedProxies: config.TRUSTED_PROXIES,
    cookie,
  };
}

function createFastify(config: Config, logger: FastifyBaseLogger): FastifyInstance {
  return Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: createRequestLogger,
    genReqId: () => randomUUID(),
    trustProxy: config.TRUSTED_PROXIES.length > 0 ? config.TRUSTED_PROXIES : false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2 },
    // Closing is announced by /health/ready and `Connection: close` first; whoever still comes is served.
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

/** What holds for every answer, errors included. */
function addEdges(app: FastifyInstance, lifecycle: Lifecycle, prefix: string): void {
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => {
    // A gateway would pass a 404 on, as if the page that somebody asked for were not there.
    const code = isGatewayDoor(request.url, prefix) ? 'not_signed_in' : 'not_found';
    return sendProblem(new AppError(code), request, reply);
  });
  addRequestLog(app);
  addResponseHeaders(app);
  // Late, so that a request that was under way already does not leave an idle connection to wait for either.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (lifecycle.draining) reply.header('connection', 'close');
    done(null, payload);
  });
}

/** Once the server listens, so does its socket for operators, where it has one. */
function takeCommands(
  app: FastifyInstance,
  path: string | null,
  commands: OperatorCommands,
  warn: Warn,
): void {
  if (path === null) return;
  let stop = async () => {};
  app.addHook('onListen', async () => {
    try {
      stop = await serveCommands(path, commands);
    } catch (err) {
      // Users are served all the same.
      warn({ err }, `takes no commands at ${path}: they work ${ONLY_WHILE_STOPPED}`);
    }
  });
  app.addHook('onClose', () => stop());
}

const ONLY_WHILE_STOPPED = 'only while this server is stopped. Mostly a shorter DATA_DIR helps';
