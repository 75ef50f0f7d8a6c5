import { createHash } from 'node:crypto';
import { validate as isUuid } from 'uuid';
import type { Cache } from '../cache/cache.ts';
import type { Clock } from '../core/clock.ts';
import type { TokenResponse, TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import { assertionIssuer, checkAssertion } from './client-assertion.ts';
import type { ClientCredentials } from './client-authentication.ts';
import { isClientSecret, matchesSecret } from './client-secret.ts';
import type { ClientStore, StoredClient } from './client-store.ts';
import { OAuthError } from './oauth-error.ts';

/** An authenticated client. */
export type ServiceClient = Pick<StoredClient, 'id' | 'scopes' | 'audiences'>;

/** The endpoint that a client calls, and the network that it calls from. */
export type ClientCall = { endpoint: string; network: string };

/** RFC 6749 §5.1. */
export type ClientTokenResponse = TokenResponse & { scope: string };

type ClientServiceParts = {
  store: ClientStore;
  statuses: TokenStatusService;
  tokens: TokenService;
  /** Limits how often one network can make the database look for clients that do not exist. */
  failures: { admit(network: string): Promise<void>; note(network: string): Promise<void> };
  /** Of this process alone. */
  memory: Cache;
  issuer: string;
  /** Whether assertions may be for the URL of the endpoint that is called, instead of the issuer. */
  takesEndpoint: boolean;
  now: Clock;
};

export type ClientService = ReturnType<typeof createClientService>;

/** Authenticates service clients, and makes their own tokens. */
export function createClientService(parts: ClientServiceParts) {
  const { store, statuses, tokens, failures, memory, issuer, takesEndpoint, now } = parts;

  return {
    /**
     * The client of these credentials. The error does not say which part of them was wrong.
     * @throws OAuthError `invalid_client`; AppError `rate_limited`, `unavailable`
     */
    async authenticate(credentials: ClientCredentials, call: ClientCall): Promise<ServiceClient> {
      const trace = traceOf(credentials);
      // Otherwise an attacker behind the same gateway could lock out a service that authenticated a moment ago.
      if ((await memory.get(trace)) === null) await failures.admit(call.network);
      const client = await findAuthentic(credentials, call.endpoint);
      if (client !== null && client.disabledAt === null) {
        await memory.put(trace, 'let in', REMEMBERED_MS);
        return client;
      }
      await failures.note(call.network);
      throw new OAuthError(
        'invalid_client',
        'The client is unknown, or its credentials are not the right ones',
      );
    },

    /**
     * A token for the client itself (RFC 6749 §4.4). If it names no scope or no resource, it gets all of its own.
     * @param scope scopes with spaces between them
     * @param resources audiences (RFC 8707)
     * @throws OAuthError `invalid_scope`, `invalid_target`; AppError `unavailable`
     */
    grant(client: ServiceClient, scope: string | undefined, resources: string[]): ClientTokenResponse {
      const granted = grantedScope(client, scope);
      return {
        ...tokens.mintForClient(client.id, granted, grantedAudiences(client, resources)),
        scope: granted,
      };
    },
  };

  async function findAuthentic(
    credentials: ClientCredentials,
    endpoint: string,
  ): Promise<StoredClient | null> {
    if ('assertion' in credentials) return findByAssertion(credentials, endpoint);
    const { clientId, secret } = credentials;
    if (!isClientId(clientId) || !isClientSecret(secret)) return null;
    const client = await store.find(clientId);
    return client !== null && matchesSecret(secret, client.secretHashes) ? client : null;
  }

  async function findByAssertion(
    { clientId, assertion }: { clientId: string | undefined; assertion: string },
    endpoint: string,
  ): Promise<StoredClient | null> {
    const id = clientId ?? assertionIssuer(assertion);
    const client = id !== null && isClientId(id) ? await store.find(id) : null;
    if (client === null || client.publicKeys === null) return null;
    const rules = {
      clientId: client.id,
      publicKeys: client.publicKeys,
      audiences: takesEndpoint ? [issuer, endpoint] : [issuer],
      now: now(),
    };
    const checked = await checkAssertion(assertion, rules);
    // Last, so that only the client itself can spend the ids of its assertions.
    return checked !== null && (await statuses.spendAssertion(client.id, checked)) ? client : null;
  }
}

const REMEMBERED_MS = 10 * 60_000;

/** What stays the same in the client's next call: its secret, or its id, because each assertion is different. */
function traceOf(credentials: ClientCredentials): string {
  const shown =
    'secret' in credentials
      ? `secret ${credentials.secret}`
      : `assertion ${credentials.clientId ?? assertionIssuer(credentials.assertion)}`;
  return createHash('sha256').update(shown).digest('base64');
}

/** A client id needs no escaping anywhere, and is never a user's id, because `sub` is either (RFC 9700 §4.15). */
export function isClientId(id: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(id) && !isUuid(id);
}

function grantedScope(client: ServiceClient, scope: string | undefined): string {
  if (scope === undefined) return client.scopes.join(' ');
  const asked = [...new Set(scope.split(' '))];
  if (!asked.every((one) => client.scopes.includes(one)))
    throw new OAuthError('invalid_scope', 'The client may not have one of these scopes');
  return asked.join(' ');
}

function grantedAudiences(client: ServiceClient, resources: string[]): string[] {
  const asked = resources.length === 0 ? client.audiences : [...new Set(resources)];
  if (asked.length === 0 || !asked.every((one) => client.audiences.includes(one)))
    throw new OAuthError('invalid_target', 'The client may not have a token for one of these resources');
  return asked;
}
