import { type ClientCredentials, createAuthenticator } from './client-credentials.ts';
import { type FetchedDocument, fetchDocument, objectOf, secureUrl } from './fetch-document.ts';
import { tell } from './hooks.ts';
import type { TokenClaims } from './token-claims.ts';
import type { VerifierSettings } from './verifier.ts';
import { VerifierError } from './verifier-error.ts';

/** RFC 7662 §2.2. Other members of an answer are kept. */
export type IntrospectionAnswer = { active: false } | ({ active: true } & Partial<TokenClaims>);

export type IntrospectionOptions = ClientCredentials & {
  /** `{issuer}/oauth/introspect` by default. */
  introspectionUri?: string;
};

/** Identifies a redemption, so that a repeated call gets the same answer. */
type Redemption = { idempotencyKey?: string };

export type Introspection = ReturnType<typeof createIntrospection>;

/**
 * Asks the auth server whether a token is active now. That redeems a single-use token.
 * @throws TypeError for incomplete options
 */
export function createIntrospection(options: IntrospectionOptions, settings: VerifierSettings) {
  const { issuer, allowInsecure, now, steadyNow, on, fetch, timeoutMs } = settings;
  const url = secureUrl(
    options.introspectionUri ?? `${issuer.replace(/\/$/, '')}/oauth/introspect`,
    'introspectionUri',
    allowInsecure,
  );
  const authenticate = createAuthenticator(options, issuer, now);

  return { introspect, confirm };

  /** @throws VerifierError `introspection_unavailable` */
  async function introspect(token: string, redemption: Redemption = {}): Promise<IntrospectionAnswer> {
    let status: number | null = null;
    try {
      const document = await askTwice(token, redemption);
      status = document.status;
      return answerOf(document);
    } catch (error) {
      tell(on.introspectionFailed, error, status);
      throw new VerifierError('introspection_unavailable', undefined, error);
    }
  }

  /**
   * Makes sure that the token is good, and that it is the one whose claims were checked here.
   * @throws VerifierError `token_inactive`, `introspection_unavailable`
   */
  async function confirm(token: string, claims: TokenClaims, redemption: Redemption = {}): Promise<void> {
    const answer = await introspect(token, redemption);
    const isSame = answer.active && answer.jti === claims.jti && answer.sub === claims.sub;
    if (!isSame) throw new VerifierError('token_inactive');
  }

  /** Asks again when the answer was lost or is a 5xx. The server recognizes a repeated redemption by its key. */
  async function askTwice(token: string, redemption: Redemption): Promise<FetchedDocument> {
    const first = await ask(token, redemption).catch(() => null);
    return first && first.status < 500 ? first : ask(token, redemption);
  }

  async function ask(token: string, { idempotencyKey }: Redemption): Promise<FetchedDocument> {
    const { headers, form } = await authenticate();
    const startedAt = steadyNow();
    const document = await fetchDocument(fetch, url, timeoutMs, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        ...headers,
      },
      body: new URLSearchParams({ token, token_type_hint: 'access_token', ...form }).toString(),
    });
    tell(on.introspected, steadyNow() - startedAt, document.status);
    return document;
  }
}

function answerOf(document: FetchedDocument): IntrospectionAnswer {
  const answer = objectOf(document);
  if (typeof answer.active !== 'boolean')
    throw new Error('The answer does not say whether the token is active');
  return answer as IntrospectionAnswer;
}
