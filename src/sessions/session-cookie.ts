import type { CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';
import { createDeviceCookie } from './device-cookie.ts';

type SessionCookieSettings = {
  mode: 'host' | 'secure' | 'insecure';
  /** Only in `secure` mode. */
  domain?: string | undefined;
  sameSite: 'lax' | 'strict' | 'none';
};

const NAMES = { host: '__Host-g_token', secure: '__Secure-g_token', insecure: 'g_token' } as const;

/** All cookies of this server in all modes; `g_device` and `g_signup` are set by the accounts. */
const OUR_NAME = /^(__Host-|__Secure-)?g_(token|device|signup)$/;

export type SessionCookie = ReturnType<typeof createSessionCookie>;

/** The cookie that carries the generate token (RFC 6265bis, prefixes in §4.1.3). */
export function createSessionCookie({ mode, domain, sameSite }: SessionCookieSettings) {
  const name = NAMES[mode];
  const options: CookieSerializeOptions = {
    path: '/',
    httpOnly: true,
    secure: mode !== 'insecure',
    sameSite,
    ...(domain !== undefined && { domain }),
  };

  return {
    name,
    /** The cookie by which the browser is known again. */
    device: createDeviceCookie({ mode, sameSite }),

    /**
     * The cookie's value; null if there is none.
     * @throws AppError `duplicate_cookie` when it was sent twice: an attacker may have set one of the two, and it is
     * unknown which. Then both are expired.
     */
    read(request: FastifyRequest, reply: FastifyReply): string | null {
      if (countCookies(request.headers.cookie ?? '', name) > 1) {
        expireEveryForm(reply);
        throw new AppError('duplicate_cookie');
      }
      return request.cookies[name] ?? null;
    },

    /** The request's `Cookie` header without the cookies that this server could have set in any of its modes. */
    others({ headers }: FastifyRequest): string {
      const pairs = (headers.cookie ?? '').split(';');
      return pairs
        .filter((pair) => !OUR_NAME.test(nameOf(pair)))
        .join(';')
        .trim();
    },

    set(reply: FastifyReply, value: string, maxAgeSeconds: number): void {
      reply.setCookie(name, value, { ...options, maxAge: maxAgeSeconds });
    },

    clear(reply: FastifyReply): void {
      reply.setCookie(name, '', { ...options, maxAge: 0 });
    },
  };

  /** Every form that this server could have set in any of its modes, host-only and for the domain. */
  function expireEveryForm(reply: FastifyReply): void {
    for (const [form, formName] of Object.entries(NAMES)) {
      const secure = form !== 'insecure';
      // Browsers ignore a cookie with SameSite=None and without Secure.
      const base = {
        path: '/',
        httpOnly: true,
        secure,
        sameSite: secure ? sameSite : 'lax',
        maxAge: 0,
      } as const;
      reply.setCookie(formName, '', base);
      if (domain !== undefined && form !== 'host') reply.setCookie(formName, '', { ...base, domain });
    }
  }
}

function countCookies(header: string, name: string): number {
  // The usual case: the name is there once, so there cannot be two cookies.
  if (header.indexOf(name) === header.lastIndexOf(name)) return 1;
  return header.split(';').filter((pair) => pair.includes('=') && nameOf(pair) === name).length;
}

/**
 * Only space and tab belong to no name (RFC 6265bis §5.7). `trim()` takes away more, so that a cookie which another
 * host of the domain has set under a name such as U+00A0 and ours would count, and end the session.
 */
function nameOf(pair: string): string {
  return String(pair.split('=', 1)[0]).replace(/^[ \t]+|[ \t]+$/g, '');
}
