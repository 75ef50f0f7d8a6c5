import { UnusableAnswer } from './fetch-document.ts';
import { SetupFault } from './setup-error.ts';

/** A document or call of the auth server. */
export type Source = {
  name: 'metadata' | 'key set' | 'introspection' | 'token endpoint' | 'revocation feed';
  url: string;
  /** What to do if the URL is not the right one. */
  cure: string;
};

const READ_LOG = 'look into the log of the auth server';

/** What to do when the URL is not the reason. */
const CURES: Record<string, string> = {
  tls: 'check the certificate and the host name in it; if its CA is your own, name it in NODE_EXTRA_CA_CERTS',
  refused: READ_LOG,
  status: READ_LOG,
  credentials: 'set REVOCATIONS=public there, or give createVerifier a fetch that sends them',
  silence: 'look for what holds answers back on the way from the auth server',
  keys: 'set algorithms to SIGNING_ALGORITHM of the auth server',
};

/** Codes of Node for certificates that are not accepted, and for TLS that fails. */
const TLS_CODE = /CERT|_SSL_|_TLS_|SIGNATURE/;

/** Runs a step that uses this source. @throws SetupFault for every error */
export async function about<T>(source: Source, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw error instanceof SetupFault ? error : faultOf(source, error);
  }
}

/** The URL without its query, which may have a secret in it. */
export function shownUrl(url: string): string {
  return url.replace(/[?#].*/s, '');
}

function faultOf({ name, url, cure }: Source, error: unknown): SetupFault {
  const { kind, message } = error instanceof UnusableAnswer ? error : networkFault(error);
  const remedy = kind === 'unreachable' ? `start the auth server, or ${cure}` : (CURES[kind] ?? cure);
  return new SetupFault(`${name} ${kind}`, `The ${name} at ${shownUrl(url)} ${message}: ${remedy}`, error);
}

function networkFault(error: unknown): { kind: string; message: string } {
  const code = codeOf(error);
  if (TLS_CODE.test(code)) return { kind: 'tls', message: `cannot be fetched, because TLS fails (${code})` };
  return { kind: 'unreachable', message: `cannot be fetched (${code})` };
}

/** The code of the system, or the name of the error. Not its message: that may quote the request. */
function codeOf(error: unknown): string {
  const { code, cause, name } = Object(error);
  return String(
    [code, Object(cause).code, name].find((text) => typeof text === 'string' && /^\w+$/.test(text)),
  );
}
