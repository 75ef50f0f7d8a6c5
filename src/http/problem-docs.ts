import { type ErrorCode, PROBLEMS } from '../core/errors.ts';
import { problemOf } from './problem.ts';

/** For each code: what happened, and what the caller should do. In Markdown. */
const EXPLANATIONS: Record<ErrorCode, string> = {
  malformed_request:
    'The bytes are not HTTP, not JSON, or not UTF-8, or a field or header came twice. `detail` says which where that is known. Correct the request; sending it again does not help.',
  validation_failed:
    'The request can be read, but a field is missing, unknown, of the wrong type, or refused by a rule. `errors` lists each one. Show the messages beside the fields.',
  duplicate_cookie:
    'The session cookie came twice, and the server cannot know which of the two is its own. It refuses both, and tells the browser to delete them. Send the user to the sign-in page.',
  duplicate_host:
    'The request has two `Host` headers, and two programs could each believe another one. Correct the client or the gateway.',
  invalid_code:
    'The code of a mail is wrong, was used before, is too old, or was tried too often; the answer does not tell which. Let the user ask for a new one.',
  unknown_audience:
    'The `audience` that was asked for is not in `AUDIENCES`. Correct the name, or the setting.',
  invalid_credentials:
    'The address or the password is wrong, or the account is banned; the answer does not tell which. Let the user try again.',
  not_signed_in:
    'The call needs a signed-in user, and there is no live session: neither cookie nor token, or a cookie whose session has ended. Send the user to the sign-in page.',
  invalid_client:
    'Only at `GET /revocations` with `REVOCATIONS=clients`: there are no credentials of a service client, or they are wrong; the answer does not tell which part. Send its id and secret with HTTP Basic, or an access token of its own as a Bearer.',
  invalid_token:
    'The access token has expired, was signed by another server, is meant for another service, or is not one at all. Get a new one from `POST /token`, and try once more.',
  insufficient_user_authentication:
    'The token is good, but its user signed in longer ago than `ADMIN_MAX_AUTH_AGE`, and an operator is about to change something. Show the sign-in page, get a new token, and send the request again. The `WWW-Authenticate` header has `max_age` in seconds (RFC 9470).',
  password_required:
    'The code is right and still good, but it was used in another browser than the one that signed up, without the password or with a wrong one. Ask for the password of the account and send it along; or offer "This was not me", which is `POST /password/reset` with the same code and a new password.',
  reauthentication_required:
    'The user signed in more than ten minutes ago, and the change is a grave one. Ask for the password, and send it along.',
  insufficient_scope:
    'The access token is good, but lacks a scope that this call needs. Ask for a token with that scope; trying again does not help.',
  only_on_the_machine:
    'A request would give a role or a client with an `admin:` scope, or the account of somebody who has one. Nothing in HTTP can make an admin: run the command that `detail` names on the machine of the server.',
  origin_not_allowed:
    'A page of an origin that is not in `APP_ORIGINS` made the call, or the browser did not say which page did. If the page is yours, add its exact origin to `APP_ORIGINS`.',
  forwarded_request_refused:
    'The gateway asked about a request that must not pass: identity headers from outside, a path that two programs read in different ways, or two different methods. `detail` says which. Nothing is wrong with the credentials.',
  not_found: 'There is no such path, or nothing with this id that belongs to the caller. Correct the URL.',
  session_not_found:
    'Only at `POST /token`: no live session belongs to the cookie, or there is no cookie. The answer is the same, byte for byte, in every case. Drop the access token and show the sign-in page.',
  request_timeout: 'The headers or the body did not arrive in time. Send the request again.',
  email_taken: 'There is an account with this address already. Offer sign-in instead.',
  last_admin:
    'The change would leave no active user with the role `admin`. Give that role to another user first: `doorward users grant ADDRESS admin` on the machine of the server.',
  body_too_large: 'The body has more than 16 KiB. No call needs that much.',
  uri_too_long: 'A part of the path is longer than any id. Correct the URL.',
  unsupported_media_type:
    'The body is not `application/json` in UTF-8. Set `Content-Type: application/json`.',
  rate_limited:
    'Too many requests came from this network address, or too many wrong passwords or codes were tried for this account. Wait for as many seconds as `Retry-After` says, then try again.',
  headers_too_large:
    'The headers are larger than the server reads. Mostly there are too many cookies; delete some.',
  internal_error:
    'An unexpected error. The log of the server has it under the `x-request-id` of the answer. Report it to the operator.',
  overloaded:
    'The server has more work than it can do in time, so it refused this request before it started on it. Wait for `Retry-After`, then try again.',
  unavailable:
    'A part that the answer depends on, mostly the database, did not answer, so the server does not know whether the answer is yes or no. The cookie stays. Keep the page and the token, wait for `Retry-After`, then try again.',
};

/** The text of docs/errors.md. */
export function errorsMarkdown(): string {
  return `${MARKDOWN_HEADING}${(Object.keys(PROBLEMS) as ErrorCode[]).map(markdownRow).join('')}`;
}

function markdownRow(code: ErrorCode): string {
  const { status, title } = PROBLEMS[code];
  return `| \`${code}\` | ${status} | ${title} | ${EXPLANATIONS[code]} |\n`;
}

const EXAMPLE = problemOf({
  code: 'validation_failed',
  detail: undefined,
  errors: [{ path: '/password', message: 'Use at least 8 characters.' }],
});

const MARKDOWN_HEADING = `# Errors

<!-- Made by \`npm run docs\` from src/core/errors.ts and src/http/problem-docs.ts. Change those files, not this one. -->

An error is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), \`application/problem+json\`).
Programs look at \`code\`, which never changes its meaning; \`title\` and \`detail\` are for people, and may change.
\`errors\` comes with \`validation_failed\` alone, at most 20 of them: each \`path\` is a JSON Pointer into the request.

\`\`\`json
${JSON.stringify(JSON.parse(EXAMPLE.body), null, 2)}
\`\`\`

- **4xx**: the same request will fail again. Change something first; after a 429, wait for \`Retry-After\` seconds.
- **503** says nothing about the user, who stays signed in: the cookie stays. Wait for \`Retry-After\` seconds and try
  again. (\`/health/ready\` answers 503 with a body of its own.)
- \`/oauth/token\`, \`/oauth/introspect\` and \`/oauth/revoke\` answer \`{ "error", "error_description" }\` instead, as
  [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) has them.

| Code | Status | Title | What happened, and what to do |
|---|---|---|---|
`;
