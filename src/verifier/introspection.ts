import { type ClientCredentials, createAuthenticator } from './client-credentials.ts';
import {
  type FetchedDocument,
  fetchDocument,
  objectOf,
  secureUrl,
  UnusableAnswer,
} from './fetch-document.ts';
import { tell } from './hooks.ts';
import { runChecks, SetupFault } from './setup-error.ts';
import { about } from './source.ts';
import type { TokenClaims } from './token-claims.ts';
import { VerifierError } from './verifier-error.ts';
import type { VerifierSettings } from './verifier-settings.ts';

/** RFC 7662 §2.2. Other members of an answer are kept. */
export type IntrospectionAnswer = { active: false } | ({ active: true } & Partial<TokenClaims>);

export type IntrospectionOptions = ClientCredentials & {
  /** `{issuer}/oauth/introspect` by default. */
  introspectionUri?: string;
};

/** Identifies a redemption, so that a repeated call gets the same answer. */
type Redemption = { idempotencyKey?: string };

/** A service may also bring one of its own. */
export type Introspection = {
  introspect(token: string, redemption?: Redemption): Promise<IntrospectionAnswer>;
  confirm(token: string, claims: TokenClaims, redemption?: Redemption): Promise<void>;
  check(): Promise<void>;
};

/** Between two questions whether the client has its audiences. */
const ASK_AGAIN_MS = 60_000;

/**
 * Asks the auth server whether a token is active now. That redeems a single-use token.
 * @throws TypeError for incomplete options
 */
export function createIntrospection(
  options: IntrospectionOptions,
  settings: VerifierSettings,
): Introspection {
  const { issuer, audiences, allowInsecure, now, steadyNow, on, warn, fetch, timeoutMs } = settings;
  const url = secureUrl(
    options.introspectionUri ?? `${issuer.replace(/\/$/, '')}/oauth/introspect`,
    'introspectionUri',
    allowInsecure,
  );
  const cure = options.introspectionUri ? 'check introspectionUri' : 'check issuer, or set introspectionUri';
  const source = { name: 'introspection', url, cure } as const;
  const authenticate = createAuthenticator(options, issuer, now);
  let askedAt = Number.NEGATIVE_INFINITY;

  return { introspect, confirm, check };

  /** @throws VerifierError `introspection_unavailable` */
  async function introspect(token: string, redemption: Redemption = {}): Promise<IntrospectionAnswer> {
    let status: number | null = null;
    try {
      return await about(source, async () => {
        const document = await askTwice(token, redemption);
        status = document.status;
        return answerOf(document);
      });
    } catch (error) {
      tell(on.introspectionFailed, error, status);
      warn(error as SetupFault);
      throw new VerifierError('introspection_unavailable', undefined, error);
    }
  }

  /**
   * Makes sure, when the service starts, that the auth server knows this client and lets it see tokens for the audience.
   * @throws SetupError with all problems
   */
  async function check(): Promise<void> {
    // The auth server calls what is no token inactive, but only for a client with the right credentials.
    await about(source, async () => answerOf(await askTwice('no-token', {})));
    await runChecks(audiences.map(checkAudience));
  }

  /** The answer to an introspection does not say why a token is inactive (RFC 7662 §2.2). This tells one of the reasons. */
  async function checkAudience(audience: string): Promise<void> {
    // The client asks for a token for itself (RFC 8707), because the server has the same rule there. It is not used.
    const form = { grant_type: 'client_credentials', resource: audience };
    const tokenUrl = new URL('token', url).href;
    const { status, text } = await about({ name: 'token endpoint', url: tokenUrl, cure }, () =>
      post(tokenUrl, form),
    );
    if (status === 400 && /"error":\s*"invalid_target"/.test(text))
      throw unregistered(options.clientId, audience);
  }

  /** In the background, so that the request which gets the refusal does not wait. */
  function explainInactive(): void {
    if (steadyNow() - askedAt < ASK_AGAIN_MS) return;
    askedAt = steadyNow();
    for (const audience of audiences)
      checkAudience(audience).catch((error: unknown) => warn(error as SetupFault));
  }

  /**
   * Makes sure that the token is good, and that it is the one whose claims were checked here.
   * @throws VerifierError `token_inactive`, `introspection_unavailable`
   */
  async function confirm(token: string, claims: TokenClaims, redemption: Redemption = {}): Promise<void> {
    const answer = await introspect(token, redemption);
    const isSame = answer.active && answer.jti === claims.jti && answer.sub === claims.sub;
    if (isSame) return;
    explainInactive();
    throw new VerifierError('token_inactive');
  }

  /** Asks again when the answer was lost or is a 5xx. The server recognizes a repeated redemption by its key. */
  async function askTwice(token: string, redemption: Redemption): Promise<FetchedDocument> {
    const first = await ask(token, redemption).catch(() => null);
    return first && first.status < 500 ? first : ask(token, redemption);
  }

  async function ask(token: string, { idempotencyKey }: Redemption): Promise<FetchedDocument> {
    const startedAt = steadyNow();
    const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    const document = await post(url, { token, token_type_hint: 'access_token' }, headers);
    tell(on.introspected, steadyNow() - startedAt, document.status);
    return document;
  }

  /** Sends a form as this client. */
  async function post(to: string, form: Record<string, string>, headers: Record<string, string> = {}) {
    const own = await authenticate();
    return fetchDocument(fetch, to, timeoutMs, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
        ...headers,
        ...own.headers,
      },
      body: new URLSearchParams({ ...form, ...own.form }).toString(),
    });
  }

  function answerOf(document: FetchedDocument): IntrospectionAnswer {
    if (document.status === 401) throw refusedClient(options);
    const answer = objectOf(document);
    if (typeof answer.active !== 'boolean')
      throw new UnusableAnswer('content', 'does not say whether the token is active');
    return answer as IntrospectionAnswer;
  }
}

function refusedClient(options: IntrospectionOptions): SetupFault {
  const named =
    'clientSecret' in options ? 'clientId and clientSecret' : 'clientId, privateKey, kid and algorithm';
  return new SetupFault(
    'client refused',
    `The auth server refuses the client ${options.clientId} or its credentials (401): check ${named}`,
  );
}

function unregistered(clientId: string, audience: string): SetupFault {
  return new SetupFault(
    `client audience ${audience}`,
    `The client ${clientId} is not registered with the audience ${audience}, so the auth server calls all tokens for it inactive: check audience, or register a client with: doorward clients add NAME --audience ${audience}`,
  );
}
