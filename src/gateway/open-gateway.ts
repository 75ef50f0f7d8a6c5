import { nothingToClose, type Platform } from '../adapters/platform.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims } from '../verifier/check-token.ts';
import { createForwardAuthService } from './forward-auth-service.ts';

type Below = {
  sessions: SessionService;
  tokens: { service: TokenService; statuses: TokenStatusService };
  /** Whether a token is void by what has been revoked lately. @param kid of the key that signed it */
  isRevoked(claims: TokenClaims, kid: string): boolean;
};

/** The checks for gateways, which use sessions and tokens. */
export function openGateway({ config }: Platform, { sessions, tokens, isRevoked }: Below) {
  const service = createForwardAuthService({
    sessions,
    tokens: tokens.service,
    statuses: tokens.statuses,
    isRevoked,
    audiences: config.AUDIENCES,
  });
  return { service, sweeps: [], close: nothingToClose };
}
