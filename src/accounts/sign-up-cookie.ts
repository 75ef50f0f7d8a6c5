import { createHash, randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

type SignUpCookieSettings = {
  mode: 'host' | 'secure' | 'insecure';
  /** That of the session's cookie. */
  sameSite: 'lax' | 'strict' | 'none';
};

const NAMES = { host: '__Host-g_signup', secure: '__Secure-g_signup', insecure: 'g_signup' } as const;
const SECRET_BYTES = 32;
const SECRET = /^[\w-]{43}$/;
/** As long as a code that verifies an address is good. */
const MAX_AGE_SECONDS = 86_400;

export type SignUpCookie = ReturnType<typeof createSignUpCookie>;

/**
 * The cookie by which a browser shows that it has signed up: a link that it opens needs no password there. It is set for
 * every address alike, and signs nobody in.
 */
export function createSignUpCookie({ mode, sameSite }: SignUpCookieSettings) {
  const name = NAMES[mode];
  const options = {
    path: '/',
    httpOnly: true,
    secure: mode !== 'insecure',
    // Of pages on other sites, a browser takes no other one.
    sameSite: sameSite === 'none' ? ('none' as const) : ('lax' as const),
  };
  const secretOf = (request: FastifyRequest): string | null => {
    const secret = request.cookies[name];
    return secret !== undefined && SECRET.test(secret) ? secret : null;
  };

  return {
    /** The SHA-256 of the browser's secret; null if it has none. */
    read(request: FastifyRequest): Buffer | null {
      const secret = secretOf(request);
      return secret === null ? null : hashBrowserSecret(secret);
    },

    /** The secret that the browser has, since the mail of an earlier sign-up may still be unread; or a new one. */
    secretFor: (request: FastifyRequest): string =>
      secretOf(request) ?? randomBytes(SECRET_BYTES).toString('base64url'),

    set(reply: FastifyReply, secret: string): void {
      reply.setCookie(name, secret, { ...options, maxAge: MAX_AGE_SECONDS });
    },

    clear(reply: FastifyReply): void {
      reply.setCookie(name, '', { ...options, maxAge: 0 });
    },
  };
}

/** What is stored of the secret of a browser. */
export function hashBrowserSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
