import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import type { Actor } from '../audit/audit-event.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { adminLimit } from '../http/rate-limits.ts';
import { deviceOf } from '../sessions/device.ts';
import { requireScope } from '../tokens/access-token-check.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims } from '../verifier/check-token.ts';

/** The scopes of the routes under `/admin`. */
type AdminScope =
  | 'admin:users:read'
  | 'admin:users:write'
  | 'admin:sessions'
  | 'admin:audit'
  | 'admin:clients'
  | 'admin:keys';

type OperatorCheck = {
  scope: AdminScope;
  /** Whether the route changes something: then a user must have signed in lately. */
  writes: boolean;
};

type OperatorParts = {
  statuses: Pick<TokenStatusService, 'findLive'>;
  /** Database time. */
  now: Clock;
  maxAuthAgeMs: number;
};

/** Accepts only requests of operators, and keeps who it is for `operatorOf`. */
export type RequireOperator = (check: OperatorCheck) => preHandlerAsyncHookHandler;

/**
 * The check of the routes under `/admin`: a live access token for this server, of a user or of a service client, with the
 * scope, which its owner must still have. A cookie counts for nothing here, so no page can make a browser send a request.
 * Needs `addBearerCheck`.
 */
export function createRequireOperator({ statuses, now, maxAuthAgeMs }: OperatorParts): RequireOperator {
  return ({ scope, writes }) => {
    const hasScope = requireScope({ scope, findLive: statuses.findLive });
    return async function (request, reply) {
      await hasScope.call(this, request, reply);
      if (writes) requireRecent(request.user);
    };
  };

  /** @throws AppError `insufficient_user_authentication` for a user's token; a client has no sign-in that could be old */
  function requireRecent({ sid, auth_time = 0 }: TokenClaims): void {
    if (sid === undefined || now() - auth_time * 1000 <= maxAuthAgeMs) return;
    throw new AppError('insufficient_user_authentication', {
      maxAuthAgeSeconds: Math.floor(maxAuthAgeMs / 1000),
    });
  }
}

/**
 * What the routes of one scope share: who may call them, and what the OpenAPI document says of that.
 * @returns `reads` and `writes` are members of a route, `docs` of its schema
 */
export function routesOf(scope: AdminScope, requireOperator: RequireOperator) {
  const guard = (writes: boolean) => ({ config: adminLimit, preHandler: requireOperator({ scope, writes }) });
  return {
    reads: guard(false),
    writes: guard(true),
    docs: {
      tags: ['admin'],
      security: [{ accessToken: [] }],
      description: `Needs the scope \`${scope}\`.`,
    },
  };
}

/** Who sends the request that `requireOperator` has let through, for the audit. */
export function operatorOf(request: FastifyRequest): Actor {
  const { sub, sid, scope } = request.user;
  return {
    kind: sid === undefined ? 'client' : 'user',
    id: sub,
    scopes: scope.split(' '),
    ...(sid !== undefined && { sessionId: sid }),
    device: deviceOf(request),
    requestId: request.id,
  };
}
