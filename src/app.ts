import fastifyCookie from '@fastify/cookie';
import cors from '@fastify/cors';
import underPressure from '@fastify/under-pressure';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import packageJson from '../package.json' with { type: 'json' };
import { accountRoutes } from './accounts/account-routes.ts';
import { deletionRoutes } from './accounts/deletion-routes.ts';
import { emailChangeRoutes } from './accounts/email-change-routes.ts';
import { exportRoutes } from './accounts/export-routes.ts';
import { passwordRoutes } from './accounts/password-routes.ts';
import { profileRoutes } from './accounts/profile-routes.ts';
import { createSignUpCookie } from './accounts/sign-up-cookie.ts';
import { verificationRoutes } from './accounts/verification-routes.ts';
import type { Adapters } from './adapters/adapters.ts';
import { consoleRoutes } from './admin/console-routes.ts';
import { operationsRoutes } from './admin/operations-routes.ts';
import { rolesRoutes } from './admin/roles-routes.ts';
import { usersRoutes } from './admin/users-routes.ts';
import { createPseudonyms } from './cache/cache-seal.ts';
import type { Config } from './config/config.ts';
import { type Clock, createDatabaseClock } from './core/clock.ts';
import { gateway } from './gateway/gateway.ts';
import { addConnectionLimits } from './http/connection-limits.ts';
import { addOpenApi, docsRoutes } from './http/docs.ts';
import { addEdges, createFastify, refuseStrangers } from './http/fastify-instance.ts';
import { healthRoutes, type Lifecycle } from './http/health-routes.ts';
import { homePage } from './http/home-page.ts';
import { addOriginCheck } from './http/origin-check.ts';
import { addRateLimits, credentialLimit, feedLimit } from './http/rate-limits.ts';
import { addRequestChecks } from './http/request-checks.ts';
import { wellKnownRoutes } from './keys/well-known-routes.ts';
import type { State } from './metrics/gauges.ts';
import type { Instrument } from './metrics/traces.ts';
import { ASSERTION_ALGORITHMS } from './oauth/client-assertion.ts';
import { oauthRoutes } from './oauth/oauth-routes.ts';
import { requireReader } from './oauth/require-reader.ts';
import { takeCommands } from './operator/take-commands.ts';
import { revocationRoutes } from './revocations/revocation-routes.ts';
import { createRevocationStreams } from './revocations/revocation-streams.ts';
import { createRevocationWaits } from './revocations/revocation-waits.ts';
import { startServices } from './services.ts';
import { createAuthenticate } from './sessions/authenticate.ts';
import { createSessionCookie } from './sessions/session-cookie.ts';
import { sessionRoutes } from './sessions/session-routes.ts';
import { addBearerCheck } from './tokens/access-token-check.ts';
import { tokenRoutes } from './tokens/token-routes.ts';
import { createAccountActions } from './ui/account-actions.ts';
import { openUi } from './ui/open-ui.ts';
import { uiRoutes } from './ui/ui-routes.ts';

/** What the process gives to the app. */
export type Surroundings = {
  clock: Clock;
  lifecycle: Lifecycle;
  logger: FastifyBaseLogger;
  /** Undefined: nothing is traced. */
  instrument?: Instrument | undefined;
  /** Called with what the rooms know of their state, for metrics. */
  watch?: (state: State) => void;
  /** Aborted when the process begins to end. */
  ending?: AbortSignal;
};

/**
 * Builds what answers until the whole server can: alive, not ready, and 503 to everything else. It writes no log, since its
 * requests fail for one reason, and the start says that one.
 */
export async function buildStartingApp(
  config: Config,
  { pingDatabase, cache }: Adapters,
  { clock, lifecycle, logger }: Surroundings,
): Promise<FastifyInstance> {
  const app = createFastify(config, logger.child({}, { level: 'silent' }));
  addConnectionLimits(app);
  addEdges(app, lifecycle);
  refuseStrangers(app);
  const prefix = config.PATH_PREFIX;
  await app.register(healthRoutes, { prefix, lifecycle, pingDatabase, pingCache: cache.ping, now: clock });
  await app.ready();
  return app;
}

/**
 * Builds the whole server, ready to listen or to answer injected requests.
 * @throws KeyEncryptionKeyError when the stored signing keys do not open
 */
export async function buildApp(
  config: Config,
  adapters: Adapters,
  { clock, lifecycle, logger, instrument, watch, ending }: Surroundings,
): Promise<FastifyInstance> {
  const services = await startServices(config, adapters, createDatabaseClock(clock), logger);
  const { revocations: feed } = services;
  const streams = createRevocationStreams({ feed, most: config.REVOCATION_STREAMS, now: clock });
  watch?.({ ...services.state, revocationStreams: streams.count });
  const { accounts, signUps, verification, profiles, deletions, exports, passwords } = services;
  const { credentialRules, sessions, tokens, statuses, keys, clients, introspection, forwardAuth } = services;
  const cookie = createSessionCookie({
    mode: config.COOKIE_MODE,
    domain: config.COOKIE_DOMAIN,
    sameSite: config.COOKIE_SAME_SITE,
  });
  const signUpCookie = createSignUpCookie({ mode: config.COOKIE_MODE, sameSite: config.COOKIE_SAME_SITE });
  const app = createFastify(config, logger);
  app.addHook('onClose', services.close);
  takeCommands(app, adapters.commandSocket, services.commands, logger);

  addConnectionLimits(app);
  addEdges(app, lifecycle);
  await instrument?.(app);
  addRequestChecks(app);
  await app.register(cors, {
    origin: config.APP_ORIGINS,
    credentials: true,
    // Otherwise the plugin refuses an OPTIONS request that is no preflight, in plain text.
    strictPreflight: false,
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: ['retry-after', 'www-authenticate', 'x-request-id'],
    maxAge: 600,
  });
  addOriginCheck(app, config.APP_ORIGINS);
  await app.register(fastifyCookie);
  const nameOf = createPseudonyms(config.PUBLIC_URL, adapters.keyEncryptionKey);
  await addRateLimits(app, adapters.cache, clock, nameOf);
  await addOpenApi(app, {
    publicUrl: config.PUBLIC_URL,
    prefix: config.PATH_PREFIX,
    cookieName: cookie.name,
    version: packageJson.version,
  });

  const { isRevoked } = services.revocations;
  await addBearerCheck(app, { tokens, issuer: config.PUBLIC_URL, isRevoked });

  const authenticate = createAuthenticate(app, sessions, cookie);
  const limit = credentialLimit(config.CREDENTIAL_RATE_LIMIT);
  const prefix = config.PATH_PREFIX;
  const { pingDatabase, cache } = adapters;
  await app.register(healthRoutes, { prefix, lifecycle, pingDatabase, pingCache: cache.ping, now: clock });
  await app.register(wellKnownRoutes, {
    prefix,
    keys,
    issuer: config.PUBLIC_URL,
    assertionAlgorithms: ASSERTION_ALGORITHMS,
    hasRevocations: config.REVOCATIONS !== 'off',
  });
  await app.register(docsRoutes, { prefix, publicUrl: config.PUBLIC_URL });
  await app.register(homePage, { prefix, publicUrl: config.PUBLIC_URL, version: packageJson.version });
  await app.register(
    async (guarded) => {
      await guarded.register(underPressure, { maxEventLoopDelay: config.MAX_EVENT_LOOP_DELAY });
      await guarded.register(accountRoutes, { accounts, signUps, cookie, signUpCookie, limit });
      await guarded.register(profileRoutes, { profiles, authenticate, limit });
      await guarded.register(deletionRoutes, {
        ...{ deletions, rules: credentialRules, authenticate, cookie, limit },
      });
      await guarded.register(exportRoutes, { exports, authenticate, limit });
      await guarded.register(passwordRoutes, {
        ...{ passwords, rules: credentialRules, authenticate, cookie, limit },
      });
      await guarded.register(verificationRoutes, { verification, sessions, cookie, signUpCookie, limit });
      await guarded.register(emailChangeRoutes, {
        ...{ emailChange: services.emailChange, rules: credentialRules, authenticate, cookie, limit },
      });
      await guarded.register(sessionRoutes, { sessions, authenticate, cookie });
      await guarded.register(tokenRoutes, { tokens, cookie });
      await guarded.register(oauthRoutes, { clients, introspection, issuer: config.PUBLIC_URL });
      if (config.REVOCATIONS !== 'off')
        await guarded.register(revocationRoutes, {
          ...{ feed, streams, waits: createRevocationWaits(feed, clock), limit: feedLimit, ending },
          requireReader:
            config.REVOCATIONS === 'clients'
              ? requireReader({ clients, issuer: config.PUBLIC_URL })
              : undefined,
        });
      await guarded.register(operationsRoutes, {
        ...{ users: services.admin.users, audit: services.audit, sessions },
        operations: services.operations,
        requireOperator: services.requireOperator,
      });
      const { admin, requireOperator } = services;
      await guarded.register(rolesRoutes, { roles: admin.roles, requireOperator });
      await guarded.register(usersRoutes, { users: admin.users, requireOperator });
      await guarded.register(gateway, { forwardAuth, statuses, cookie, config });
      const ui = openUi(config);
      if (config.ADMIN_CONSOLE === 'on')
        await guarded.register(consoleRoutes, {
          ...{ prefix: '/admin/ui', publicUrl: config.PUBLIC_URL, palette: ui.palette, theme: ui.theme },
        });
      await guarded.register(uiRoutes, {
        ...{ prefix: '/ui', ui },
        actions: createAccountActions({ ...services, cookie, signUpCookie }),
        ...{ publicUrl: config.PUBLIC_URL, minPasswordLength: config.PASSWORD_MIN_LENGTH, limit },
      });
    },
    { prefix },
  );
  return app;
}
