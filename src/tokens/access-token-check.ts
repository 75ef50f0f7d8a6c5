import jwt, { type FastifyJWTOptions } from '@fastify/jwt';
import type { FastifyInstance, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import { AppError } from '../core/errors.ts';
import { readAuthorization } from '../http/request-checks.ts';
import type { PublicKey } from '../keys/key-service.ts';
import { checkShape, findKeyOf, type TokenClaims } from '../verifier/check-token.ts';
import { checkClaims } from '../verifier/token-claims.ts';
import { VerifierError } from '../verifier/verifier-error.ts';
import type { TokenService } from './token-service.ts';

declare module '@fastify/jwt' {
  interface FastifyJWT {
    user: TokenClaims;
  }
}

/** A token as @fastify/jwt parses it: header and claims as objects, the rest as text. */
type Decoded = { header: Record<string, unknown>; signature: string; input: string };

type BearerCheck = {
  tokens: Pick<TokenService, 'rulesFor' | 'requireKey'>;
  /** This server, which must be the audience of the token. */
  issuer: string;
  /** Whether a token is void by what has been revoked lately. @param kid of the key that signed it */
  isRevoked(claims: TokenClaims, kid: string): boolean;
};

/**
 * Sets up @fastify/jwt for the routes of this server that accept an access token. The plugin finds and parses the token,
 * asks for the key of its `kid`, and verifies the signature with a verifier that it makes once for each key. Header and
 * claims are checked by the same rules as in services, against the database's time, which the plugin does not know.
 *
 * The plugin verifies on the main thread: an ES256 token takes 106 µs there. `checkToken` takes 27 µs there and does the
 * rest in the thread pool (CPU time in total: 107 and 118 µs). That does not matter for operators' calls, but it does for
 * the call that a gateway makes at each request, so `/forward-auth` uses `checkToken`.
 */
export async function addBearerCheck(
  app: FastifyInstance,
  { tokens, issuer, isRevoked }: BearerCheck,
): Promise<void> {
  const rules = tokens.rulesFor({ types: ['at+jwt'], audiences: [issuer] });
  const keyOf = async (_request: FastifyRequest, decoded: unknown) => {
    const { header, signature } = decoded as Decoded;
    const key = await findKeyOf(header, tokens.requireKey, rules);
    checkSignatureLength(signature, key);
    return key.pem;
  };
  await app.register(jwt, {
    secret: { public: keyOf },
    decode: { complete: true },
    verify: {
      extractToken: ({ headers }) => tokenOf(headers.authorization),
      algorithms: [...rules.algorithms] as Algorithms,
      complete: true,
      ignoreExpiration: true,
      ignoreNotBefore: true,
    },
    // Async, because the plugin handles only rejections: an error thrown here or in `formatUser` would end the process.
    trusted: async (_request, decoded) => {
      const { header, ...token } = decoded as Decoded;
      const claims = checkClaims(payloadOf(token), rules);
      if (isRevoked(claims, String(header.kid))) throw new AppError('invalid_token');
      decoded.claims = claims;
      return true;
    },
    formatUser: (decoded) => (decoded as { claims: TokenClaims }).claims,
  });
}

type Algorithms = NonNullable<NonNullable<FastifyJWTOptions['verify']>['algorithms']>;

/** @throws VerifierError `token_missing`, `token_malformed` */
function tokenOf(authorization: string | undefined): string {
  const token = bearerOf(authorization);
  checkShape(token);
  return token;
}

/** 64 bytes (RFC 7518 §3.4). For other lengths the plugin throws the same error as for broken cryptography. */
function checkSignatureLength(signature: string, { algorithm }: PublicKey): void {
  if (algorithm === 'ES256' && signature.length !== ES256_SIGNATURE_LENGTH)
    throw new VerifierError('signature_invalid');
}

const ES256_SIGNATURE_LENGTH = 86;

function payloadOf({ input }: Pick<Decoded, 'input'>): Uint8Array {
  return Buffer.from(input.slice(input.indexOf('.') + 1), 'base64url');
}

type ScopeCheck = {
  scope: string;
  /** What the token says now; null if its session or its client is no longer valid. */
  findLive(claims: TokenClaims): Promise<Pick<TokenClaims, 'scope'> | null>;
};

/**
 * Accepts only requests with a live access token for this server that has the scope, and would have it if it were made
 * now. `request.user` then has the scopes of which both is true. Needs `addBearerCheck`.
 */
export function requireScope({ scope, findLive }: ScopeCheck): preHandlerAsyncHookHandler {
  return async (request: FastifyRequest) => {
    bearerOf(readAuthorization(request));
    const claims = await request.jwtVerify<TokenClaims>().catch(refuse);
    const live = await findLive(claims);
    if (live === null) throw new AppError('invalid_token');
    const stillHeld = live.scope.split(' ');
    const held = claims.scope.split(' ').filter((one) => stillHeld.includes(one));
    if (!held.includes(scope)) throw new AppError('insufficient_scope');
    request.user = { ...claims, scope: held.join(' ') };
  };
}

/** The errors of @fastify/jwt for bad tokens that pass our checks of form and header. */
const REFUSALS = ['FST_JWT_AUTHORIZATION_TOKEN_INVALID', 'FAST_JWT_INVALID_PAYLOAD'];

/** An error that says nothing about the token is thrown unchanged: the keys are unknown, or there is a bug. */
function refuse(error: Error & { code?: string }): never {
  const isRefusal = error instanceof VerifierError || REFUSALS.includes(String(error.code));
  throw isRefusal ? new AppError('invalid_token') : error;
}

/**
 * The token of an Authorization header (RFC 6750 §2.1); empty if what follows the scheme is none.
 * @throws AppError `not_signed_in` for no header or another scheme: that is a request without a token (§3.1)
 */
export function bearerOf(authorization = ''): string {
  if (!/^bearer(\s|$)/i.test(authorization)) throw new AppError('not_signed_in', { acceptsToken: true });
  const [, token = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  return token;
}
