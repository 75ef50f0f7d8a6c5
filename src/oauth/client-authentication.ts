import { OAuthError } from './oauth-error.ts';

/** A parsed form: a parameter that was sent twice is a list. */
export type Form = Record<string, string | string[] | undefined>;

/** What a client authenticates with (RFC 6749 §2.3.1, RFC 7523 §2.2). */
export type ClientCredentials =
  | { clientId: string; secret: string }
  | { clientId: string | undefined; assertion: string };

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** RFC 6749 §3.2: an empty parameter is a missing one, and none may come twice. @throws OAuthError `invalid_request` */
export function readParameter(form: Form, name: string): string | undefined {
  const value = form[name];
  if (Array.isArray(value)) throw new OAuthError('invalid_request', `${name} was sent more than once`);
  return value === '' ? undefined : value;
}

/** The same for a required parameter. @throws OAuthError `invalid_request` */
export function requireParameter(form: Form, name: string): string {
  const value = readParameter(form, name);
  if (value === undefined) throw new OAuthError('invalid_request', `${name} is missing`);
  return value;
}

/** The one parameter that may be sent several times (RFC 8707 §2). */
export function readParameters(form: Form, name: string): string[] {
  return [form[name] ?? []].flat().filter((value) => value !== '');
}

/**
 * The client's credentials, from the Authorization header or the form.
 * @throws OAuthError `invalid_client` if there are none, `invalid_request` if there are two kinds or they are malformed
 */
export function readClientCredentials(authorization: string | undefined, form: Form): ClientCredentials {
  const clientId = readParameter(form, 'client_id');
  const found = [readBasic(authorization), readSecret(form, clientId), readAssertion(form, clientId)].filter(
    (credentials) => credentials !== null,
  );
  const [credentials, ...others] = found;
  if (others.length > 0) throw new OAuthError('invalid_request', 'Use one way of client authentication only');
  if (credentials === undefined) throw new OAuthError('invalid_client', 'Client authentication is required');
  if (clientId !== undefined && credentials.clientId !== undefined && credentials.clientId !== clientId)
    throw new OAuthError('invalid_request', 'client_id is not the authenticated client');
  return credentials;
}

function readBasic(authorization: string | undefined): ClientCredentials | null {
  if (authorization === undefined) return null;
  const [, encoded] = /^basic +([\w+/=-]+)$/i.exec(authorization) ?? [];
  const pair = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  if (colon < 0) throw new OAuthError('invalid_client', 'The Authorization header is not HTTP Basic');
  return { clientId: decodeForm(pair.slice(0, colon)), secret: decodeForm(pair.slice(colon + 1)) };
}

function readSecret(form: Form, clientId: string | undefined): ClientCredentials | null {
  const secret = readParameter(form, 'client_secret');
  if (secret === undefined) return null;
  if (clientId === undefined) throw new OAuthError('invalid_request', 'client_secret needs a client_id');
  return { clientId, secret };
}

function readAssertion(form: Form, clientId: string | undefined): ClientCredentials | null {
  const assertion = readParameter(form, 'client_assertion');
  const type = readParameter(form, 'client_assertion_type');
  if (assertion === undefined && type === undefined) return null;
  if (assertion === undefined || type !== ASSERTION_TYPE)
    throw new OAuthError(
      'invalid_request',
      `client_assertion goes with client_assertion_type=${ASSERTION_TYPE}`,
    );
  return { clientId, assertion };
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are joined. */
function decodeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    // It can only be a URIError.
    throw new OAuthError('invalid_client', 'The Authorization header is not form-encoded');
  }
}
