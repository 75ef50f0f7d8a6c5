import { LRUCache } from 'lru-cache';
import { validate as isUuid } from 'uuid';
import type { MissLimit } from '../cache/miss-limit.ts';
import type { Clock } from '../core/clock.ts';
import type { TokenResponse } from '../tokens/access-token.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import { assertionIssuer, type CheckedAssertion, checkAssertion } from './client-assertion.ts';
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
  failures: MissLimit;
  issuer: string;
  /** Whether assertions may be for the URL of the endpoint that is called, instead of the issuer. */
  takesEndpoint: boolean;
  now: Clock;
};

export type ClientService = ReturnType<typeof createClientService>;

/** Authenticates service clients, and makes their own tokens. */
export function createClientService(parts: ClientServiceParts) {
  const { store, statuses, tokens, failures, issuer, takesEndpoint, now } = parts;
  /** Clients that were let in lately, as they were then. */
  const letIn = new LRUCache<string, StoredClient>({ max: MAX_LET_IN });

  return {
    /**
     * The client of these credentials. The error does not say which part of them was wrong.
     * @throws OAuthError `invalid_client`; AppError `rate_limited`, `unavailable`
     */
    async authenticate(
      credentials: ClientCredentials,
      { endpoint, network }: ClientCall,
    ): Promise<ServiceClient> {
      const id = claimedId(credentials);
      const look = () => findAuthentic(id, credentials, endpoint);
      const remembered = letIn.get(id);
      // Otherwise an attacker behind the same gateway could lock out a service that authenticated a moment ago. By its
      // credentials, not by its name: that one is no secret.
      const isProven = remembered !== undefined && (await prove(credentials, remembered, endpoint)) !== null;
      const client = isProven ? await look() : await failures.run(network, look);
      if (client === null) {
        if (isProven) letIn.delete(id);
        throw new OAuthError(
          'invalid_client',
          'The client is unknown, or its credentials are not the right ones',
        );
      }
      letIn.set(id, client);
      return client;
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
    id: string,
    credentials: ClientCredentials,
    endpoint: string,
  ): Promise<StoredClient | null> {
    if (!isClientId(id) || ('secret' in credentials && !isClientSecret(credentials.secret))) return null;
    const client = await store.find(id);
    if (client === null || client.disabledAt !== null) return null;
    const proof = await prove(credentials, client, endpoint);
    if (proof === null || proof === 'secret') return proof && client;
    // Last, so that only the client itself can spend the ids of its assertions.
    return (await statuses.spendAssertion(id, proof)) ? client : null;
  }

  /** What shows that the credentials are the client's; null if they are not. The caller must spend an assertion. */
  async function prove(
    credentials: ClientCredentials,
    { id, secretHashes, publicKeys }: StoredClient,
    endpoint: string,
  ): Promise<'secret' | CheckedAssertion | null> {
    if ('secret' in credentials) return matchesSecret(credentials.secret, secretHashes) ? 'secret' : null;
    if (publicKeys === null) return null;
    const audiences = takesEndpoint ? [issuer, endpoint] : [issuer];
    const rules = { clientId: id, publicKeys, audiences, now: now() };
    return checkAssertion(credentials.assertion, rules);
  }
}

const MAX_LET_IN = 10_000;

/** The unchecked id of the client; empty if it names none. */
function claimedId(credentials: ClientCredentials): string {
  if ('secret' in credentials) return credentials.clientId;
  return credentials.clientId ?? assertionIssuer(credentials.assertion) ?? '';
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
