import type { FastifyReply, FastifyRequest } from 'fastify';

type DeviceCookieSettings = {
  mode: 'host' | 'secure' | 'insecure';
  /** That of the session's cookie. */
  sameSite: 'lax' | 'strict' | 'none';
};

const NAMES = { host: '__Host-g_device', secure: '__Secure-g_device', insecure: 'g_device' } as const;
/** As long as browsers keep a cookie at most (RFC 6265bis §5.5). */
const MAX_AGE_SECONDS = 400 * 86_400;

/** The cookie by which a browser is known again at the next sign-in. It signs nobody in, and stays after a sign-out. */
export function createDeviceCookie({ mode, sameSite }: DeviceCookieSettings) {
  const name = NAMES[mode];
  return {
    /** The cookie's value; null if there is none. */
    read: (request: FastifyRequest): string | null => request.cookies[name] ?? null,

    set(reply: FastifyReply, value: string): void {
      reply.setCookie(name, value, {
        path: '/',
        httpOnly: true,
        secure: mode !== 'insecure',
        // Of pages on other sites, a browser takes no other one.
        sameSite: sameSite === 'none' ? 'none' : 'lax',
        maxAge: MAX_AGE_SECONDS,
      });
    },
  };
}
