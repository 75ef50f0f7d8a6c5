import type { DoorPlan } from './door-rules.ts';
import type { VerifierError, VerifierErrorCode } from './verifier-error.ts';

/** The whole answer to a request that may not pass, ready to be sent. */
export type Refusal = {
  status: 400 | 401 | 403 | 503;
  code: VerifierErrorCode;
  headers: Record<string, string>;
  /** RFC 9457 problem details. */
  body: string;
};

type Answer = {
  status: Refusal['status'];
  title: string;
  /** RFC 6750 §3.1 and RFC 9470 §3; none for a request without a token, and for 503. */
  error?: string;
};

const ANSWERS: Partial<Record<VerifierErrorCode, Answer>> = {
  authorization_malformed: {
    status: 400,
    title: 'The Authorization header cannot be read',
    error: 'invalid_request',
  },
  token_missing: { status: 401, title: 'A token is needed here' },
  auth_too_old: { status: 401, title: 'Sign in again', error: 'insufficient_user_authentication' },
  scope_insufficient: { status: 403, title: 'The token does not allow this', error: 'insufficient_scope' },
  email_mismatch: { status: 403, title: 'The e-mail address is not your own' },
  keys_unavailable: { status: 503, title: 'The signing keys cannot be fetched: try again' },
  introspection_unavailable: { status: 503, title: 'The auth server gave no usable answer: try again' },
  revocations_unavailable: { status: 503, title: 'It cannot be known now who has signed out: try again' },
};

const BAD_TOKEN: Answer = { status: 401, title: 'The token is not accepted', error: 'invalid_token' };

/** @param realm of the challenge, without quotes in it */
export function refuse({ code, message }: VerifierError, plan: DoorPlan, realm: string): Refusal {
  const answer = ANSWERS[code] ?? BAD_TOKEN;
  const { status, title } = answer;
  const type = `urn:doorward:problem:${code}`;
  return {
    status,
    code,
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      'cache-control': 'no-store',
      ...(status === 503 && { 'retry-after': '1' }),
      ...(isChallenge(answer) && { 'www-authenticate': challenge(answer, message, plan, realm) }),
    },
    body: JSON.stringify({ type, title, status, code }),
  };
}

/** RFC 6750 §3: every 401, and every answer with an `error`. */
function isChallenge({ status, error }: Answer): boolean {
  return status === 401 || error !== undefined;
}

function challenge({ error }: Answer, message: string, plan: DoorPlan, realm: string): string {
  const params = [`realm="${realm}"`];
  if (error !== undefined) params.push(`error="${error}"`, `error_description="${message}"`);
  if (error === 'insufficient_scope') params.push(`scope="${plan.scopes.join(' ')}"`);
  if (error === 'insufficient_user_authentication') params.push(`max_age=${plan.maxAuthAgeSeconds}`);
  return `Bearer ${params.join(', ')}`;
}
