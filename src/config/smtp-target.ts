import { isLoopbackHost } from '../core/loopback.ts';

/** `SMTP_URL`, decoded. */
export type SmtpTarget = {
  host: string;
  port: number;
  /**
   * `tls`: from the first byte. `starttls`: asked for, and without it nothing is sent. `none`: mails and the password can be
   * read on the way.
   */
  encryption: 'tls' | 'starttls' | 'none';
  credentials: { user: string; password: string } | null;
};

/** RFC 8314 §7.3 for TLS from the start, RFC 6409 §3.1 for the other. */
const DEFAULT_PORTS = { 'smtps:': 465, 'smtp:': 587 };

/**
 * Reads `smtp://[user:password@]host[:port]` or `smtps://…`. With `smtp` the connection is encrypted by STARTTLS, but not
 * to this machine itself, and not with `?tls=off`.
 * @returns null for anything else
 */
export function parseSmtpUrl(url: string): SmtpTarget | null {
  const parsed = /^smtps?:\/\/[^\s\\]+$/.test(url) ? URL.parse(url) : null;
  if (parsed === null || parsed.hostname === '' || parsed.hash !== '') return null;
  if (!['', '/'].includes(parsed.pathname) || !['', '?tls=off'].includes(parsed.search)) return null;
  const credentials = parseLogin(parsed);
  const isTls = parsed.protocol === 'smtps:';
  if (credentials === undefined || (isTls && parsed.search !== '')) return null;
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  const isOpen = parsed.search !== '' || isLoopbackHost(parsed.hostname);
  return {
    host,
    port: Number(parsed.port || DEFAULT_PORTS[isTls ? 'smtps:' : 'smtp:']),
    encryption: isTls ? 'tls' : isOpen ? 'none' : 'starttls',
    credentials,
  };
}

/** Undefined if one of the two is missing, or the percent-encoding is broken. */
function parseLogin({ username, password }: URL): SmtpTarget['credentials'] | undefined {
  if (username === '' && password === '') return null;
  if (username === '' || password === '') return undefined;
  try {
    return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
  } catch {
    return undefined;
  }
}
