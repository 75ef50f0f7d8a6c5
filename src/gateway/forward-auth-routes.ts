import { METHODS } from 'node:http';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { AppError, unavailable } from '../core/errors.ts';
import { clientNetwork } from '../http/client-address.ts';
import { CHECKS_ORIGIN_ITSELF, isOwnPage } from '../http/origin-check.ts';
import { problemResponses, READ_PROBLEMS } from '../http/problem.ts';
import { Query, Text } from '../http/schemas.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import { bearerOf } from '../tokens/access-token-check.ts';
import { type GatewayRequest, readOriginalRequest } from './forward-auth-request.ts';
import type { ForwardAuthService, Identity } from './forward-auth-service.ts';

const DoorQuery = Query({
  audience: Type.Optional(
    Text({ description: 'The audience of the service behind the door; any when left out' }),
  ),
  check: Type.Optional(
    Type.Literal('session', { description: 'Ask the database, so that a sign-out counts at once' }),
  ),
  cookie: Type.Optional(
    Type.Literal('strip', {
      description: "Answer with a Cookie header for the service: the caller's, without that of the session",
    }),
  ),
  answer: Type.Optional(
    Type.Literal('refusal', {
      description: 'The answer goes to the caller, who was refused a moment ago: 503 in place of 200',
    }),
  ),
});

const AnyQuery = Type.Object({});

/** Envoy can add headers to its call, but no query. If a client sends them, it only makes the check stricter. */
const DoorHeaders = Type.Object({
  'x-forward-auth-audience': Type.Optional(Text()),
  'x-forward-auth-check': Type.Optional(Type.Literal('session')),
  'x-forward-auth-cookie': Type.Optional(Type.Literal('strip')),
});

const identityHeaders = {
  'X-Auth-Subject': { type: 'string', description: "The user's id, or the service client's" },
  'X-Auth-Email': {
    type: 'string',
    description: 'Percent-encoded where it is not ASCII; empty for a client',
  },
  'X-Auth-Session': { type: 'string', description: 'Empty for a client' },
  'X-Auth-Scope': { type: 'string' },
  Authorization: {
    type: 'string',
    description: 'The token that was sent, or one for the service where the cookie was',
  },
  Cookie: { type: 'string', description: 'With `cookie=strip`: the cookies of others; empty without any' },
};

type DoorWish = {
  audience?: string | undefined;
  check?: 'session' | undefined;
  cookie?: 'strip' | undefined;
  answer?: 'refusal' | undefined;
  /** Envoy passes on only the headers that its settings name, so a missing Origin proves nothing. */
  needsOrigin?: boolean;
};

type ForwardAuthRoutesOptions = {
  forwardAuth: ForwardAuthService;
  cookie: SessionCookie;
  appOrigins: string[];
};

/** The endpoint that a gateway asks: may this request pass, and who sent it? */
export const forwardAuthRoutes: FastifyPluginAsyncTypebox<ForwardAuthRoutesOptions> = async (
  app,
  { forwardAuth, cookie, appOrigins },
) => {
  const allowedOrigins = new Set(appOrigins);
  const options = {
    // Called for every request of every service: too often for the log.
    logLevel: 'warn',
    config: { [CHECKS_ORIGIN_ITSELF]: true },
    schema: {
      tags: ['gateway'],
      summary: 'May the request that a gateway holds pass?',
      description:
        'For nginx auth_request, Traefik ForwardAuth, Caddy forward_auth and, with the original method and path appended, Envoy ext_authz.',
      security: [{ accessToken: [] }, { session: [] }],
      querystring: DoorQuery,
      response: {
        200: { description: 'It may', headers: identityHeaders, type: 'null' },
        ...problemResponses(
          ...READ_PROBLEMS,
          'validation_failed',
          'unknown_audience',
          'invalid_token',
          'not_signed_in',
          'origin_not_allowed',
          'forwarded_request_refused',
        ),
      },
    },
  } as const;

  // Envoy sends no body. If another gateway sends one, it is meant for the service.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));

  app.get('/forward-auth', options, (request, reply) => answer(request, reply, request.query));
  // Some gateways keep the original method.
  addEveryMethod(app);
  app.route({
    ...options,
    method: METHODS.filter((method) => !['GET', 'HEAD', 'OPTIONS', 'CONNECT'].includes(method)),
    url: '/forward-auth',
    schema: { ...options.schema, hide: true },
    handler: (request, reply) => answer(request, reply, request.query),
  });
  app.route({
    ...options,
    method: METHODS.filter((method) => !['OPTIONS', 'CONNECT'].includes(method)),
    url: '/forward-auth/*',
    schema: { ...options.schema, querystring: AnyQuery, headers: DoorHeaders, hide: true },
    // The query belongs to the original request here, so the headers describe the door.
    handler: (request, reply) => {
      const { headers } = request;
      const audience = headers['x-forward-auth-audience'];
      const [check, cookie] = [headers['x-forward-auth-check'], headers['x-forward-auth-cookie']];
      return answer(request, reply, { audience, check, cookie, needsOrigin: true });
    },
  });

  // Every other request is refused: a successful answer to a preflight would let the original request pass, and a
  // gateway would pass on a 404, as if the page that the user asked for were missing.
  app.all('/forward-auth*', { config: { cors: { preflight: false } }, schema: { hide: true } }, refuse);

  async function answer(request: FastifyRequest, reply: FastifyReply, wish: DoorWish): Promise<void> {
    const identity = await identify(request, reply, wish);
    // A gateway that can pass on no refusal asks again for the caller. Meanwhile the reason may have gone.
    if (wish.answer === 'refusal') throw unavailable(new Error('the request may pass now'));
    if (wish.cookie === 'strip') reply.header('cookie', cookie.others(request));
    admit(reply, identity);
  }

  async function identify(
    request: FastifyRequest,
    reply: FastifyReply,
    { audience, check, needsOrigin = false }: DoorWish,
  ): Promise<Identity> {
    const asked = gatewayRequestOf(request, `${app.prefix}/forward-auth`);
    if (asked === null) return refuse();
    const original = readOriginalRequest(asked);
    if ('refused' in original) throw new AppError('forwarded_request_refused', { detail: original.refused });
    const query = { audience, checkSession: check === 'session' };
    const { authorization } = request.headers;
    if (authorization !== undefined) return forwardAuth.byToken(bearerOf(authorization), query);
    // Browsers add the cookie by themselves: any page could make the user's browser send this.
    const isMeant = isOwnPage(request, allowedOrigins) && !(needsOrigin && tellsNoOrigin(request));
    if (original.isUnsafe && !isMeant) throw new AppError('origin_not_allowed');
    const generateToken = cookie.read(request, reply);
    return forwardAuth.byCookie(generateToken, clientNetwork(request), query);
  }
};

/**
 * Lets routes have all methods that Node reads. None has a body here: Fastify refuses a QUERY whose body has no type
 * (RFC 10008 §2), but a gateway's question has neither.
 */
function addEveryMethod(app: FastifyInstance): void {
  const known = app.supportedMethods;
  for (const method of METHODS.filter((method) => method === 'QUERY' || !known.includes(method)))
    app.addHttpMethod(method, { overrideExisting: true });
}

async function refuse(): Promise<never> {
  throw new AppError('not_signed_in', { acceptsToken: true });
}

function tellsNoOrigin({ headers }: FastifyRequest): boolean {
  return headers.origin === undefined && headers['sec-fetch-site'] === undefined;
}

/** Null if the door's own URL is spelled in another way: escaped, or as a whole URL with a host. No gateway does that. */
function gatewayRequestOf({ method, raw }: FastifyRequest, door: string): GatewayRequest | null {
  const url = String(raw.url);
  return url.startsWith(door) ? { method, path: url.slice(door.length), rawHeaders: raw.rawHeaders } : null;
}

/** Always sets all headers: if one is missing, a gateway could pass on the client's own, or drop it. */
function admit(reply: FastifyReply, identity: Identity): void {
  reply.headers({
    'x-auth-subject': identity.subject,
    'x-auth-email': toAscii(identity.email),
    'x-auth-session': identity.session,
    'x-auth-scope': identity.scope,
    authorization: `Bearer ${identity.accessToken}`,
  });
  reply.send();
}

/** Header values are ASCII: the rest is percent-encoded, and so is the percent sign. */
function toAscii(text: string): string {
  return text.replace(/[^!-$&-~]/gu, encodeURIComponent);
}
