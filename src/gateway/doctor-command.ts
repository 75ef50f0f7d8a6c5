import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { KeyService } from '../keys/key-service.ts';
import { clientTokenClaims } from '../tokens/access-token.ts';
import { createTokenId } from '../tokens/token-id.ts';

/** The client id of the operator's command. No service client may have it. */
export const DOCTOR_CLIENT_ID = 'doctor';

/** What an access token must allow for `GET /admin/doctor`. */
export const DOCTOR_SCOPE = 'admin:doctor';

const TICKET_LIFE_MS = 60_000;

type DoctorCommandParts = { keys: KeyService; prepareKeys(): Promise<unknown>; issuer: string; now: Clock };

/** Lets an operator see how their own request arrives through the gateway. */
export function createDoctorCommand({ keys, prepareKeys, issuer, now }: DoctorCommandParts) {
  return {
    /**
     * @returns an access token for `GET /admin/doctor`, good for a minute
     * @throws AppError `not_found` before the first start of the server, which makes the first key; `unavailable`
     */
    async ticket(): Promise<{ access_token: string }> {
      await prepareKeys();
      if (keys.activeKid() === null)
        throw new AppError('not_found', { detail: 'There is no signing key yet: start the server first.' });
      const claims = clientTokenClaims(
        { clientId: DOCTOR_CLIENT_ID, scope: DOCTOR_SCOPE },
        {
          issuer,
          clientId: DOCTOR_CLIENT_ID,
          audiences: [issuer],
          ttlMs: TICKET_LIFE_MS,
          now: now(),
          jti: createTokenId(),
        },
      );
      return { access_token: keys.sign(claims) };
    },
  };
}
