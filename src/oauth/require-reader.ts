import type { preHandlerAsyncHookHandler } from 'fastify';
import { AppError } from '../core/errors.ts';
import { clientNetwork } from '../http/client-address.ts';
import { readAuthorization } from '../http/request-checks.ts';
import { requireScope } from '../tokens/access-token-check.ts';
import { readClientCredentials } from './client-authentication.ts';
import type { ClientService } from './client-service.ts';
import { OAuthError } from './oauth-error.ts';

/** For the feed of revocations; users' tokens have no scopes. */
const READ_SCOPE = 'revocations:read';

type ReaderCheck = {
  clients: Pick<ClientService, 'authenticate'>;
  /** `PUBLIC_URL`. */
  issuer: string;
};

/**
 * Accepts only requests of service clients: with HTTP Basic, as at introspection, or with an access token for this server
 * that has the scope `revocations:read`. The token is checked without the database, so that services go on reading while
 * that is away. Needs `addBearerCheck`.
 */
export function requireReader({ clients, issuer }: ReaderCheck): preHandlerAsyncHookHandler {
  // What was revoked is refused by the check of every Bearer.
  const requireToken = requireScope({ scope: READ_SCOPE, findLive: async (claims) => claims });
  return async function (request, reply) {
    const authorization = readAuthorization(request);
    if (/^bearer\b/i.test(authorization ?? '')) return requireToken.call(this, request, reply);
    try {
      const credentials = readClientCredentials(authorization, {});
      const call = { endpoint: `${issuer}/revocations`, network: clientNetwork(request) };
      await clients.authenticate(credentials, call);
    } catch (error) {
      throw error instanceof OAuthError ? new AppError('invalid_client') : error;
    }
  };
}
