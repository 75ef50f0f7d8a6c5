import type { FastifyPluginAsync } from 'fastify';
import type { Config } from '../config/config.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import { doctorRoutes } from './doctor-routes.ts';
import { forwardAuthRoutes } from './forward-auth-routes.ts';
import type { ForwardAuthService } from './forward-auth-service.ts';
import type { GatewaySettings } from './gateway-report.ts';

type GatewayOptions = {
  forwardAuth: ForwardAuthService;
  statuses: TokenStatusService;
  cookie: SessionCookie;
  config: Config;
};

/** The routes for gateways: the check of each request, and the report that shows how a request arrives. */
export const gateway: FastifyPluginAsync<GatewayOptions> = async (
  app,
  { forwardAuth, statuses, cookie, config },
) => {
  await app.register(forwardAuthRoutes, { forwardAuth, cookie, appOrigins: config.APP_ORIGINS });
  await app.register(doctorRoutes, { statuses, settings: settingsOf(config, cookie.name) });
};

function settingsOf(config: Config, cookieName: string): GatewaySettings {
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
