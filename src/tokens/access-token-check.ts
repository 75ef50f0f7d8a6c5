import jwt, { type FastifyJWTOptions } from '@fastify/jwt';
import type { FastifyInstance, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import { AppError } from '../core/errors.ts';
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

/** A token as @fastify/jwt takes it apart: header and claims parsed, the rest as it came. */
type Decoded = { header: Record<string, unknown>; signature: string; input: string };

type BearerCheck = {
  tokens: Pick<TokenService, 'rulesFor' | 'requireKey'>;
  /** This server: what the token must be for. */
  issuer: string;
};

/**
 * Sets up @fastify/jwt for the routes of this server that take an access token. It finds the token, takes it apart, asks
 * for the key of its `kid` and verifies the signature, with a verifier made once for each key. What header and claims must
 * say is for the rules that services have too, held against the database's time, which the plugin does not know.
 *
 * It verifies on the main thread: a token of ES256 takes 106 µs of it, where `checkToken` takes 27 and leaves the rest to
 * the thread pool (107 and 118 µs of CPU time in all). That is little for what operators call, and much for what a gateway
 * asks at each request: `/forward-auth` keeps to `checkToken`.
 */
export async function addBearerCheck(app: FastifyInstance, { tokens, issuer }: BearerCheck): Promise<void> {
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
    // Async, for the plugin passes on what is rejected alone: thrown here or in `formatUser`, it would end the process.
    trusted: async (_request, decoded) => {
      decoded.claims = checkClaims(payloadOf(decoded as Decoded), rules);
      return true;
    },
    formatUser: (decoded) => (decoded as { claims: TokenClaims }).claims,
  });
}

type Algorithms = NonNullable<NonNullable<FastifyJWTOptions['verify']>['algorithms']>;

/** @throws VerifierError `token_missing`, `token_malformed` */
function tokenOf(authorization = ''): string {
  const token = bearerOf(authorization);
  checkShape(token);
  return token;
}

/** 64 bytes (RFC 7518 §3.4): for another length the plugin has the error that it has for broken cryptography. */
function checkSignatureLength(signature: string, { algorithm }: PublicKey): void {
  if (algorithm === 'ES256' && signature.length !== ES256_SIGNATURE_LENGTH)
    throw new VerifierError('signature_invalid');
}

const ES256_SIGNATURE_LENGTH = 86;

function payloadOf({ input }: Decoded): Uint8Array {
  return Buffer.from(input.slice(input.indexOf('.') + 1), 'base64url');
}

type ScopeCheck = {
  scope: string;
  /** Whether what the token rests on still holds. */
  isLive(claims: TokenClaims): Promise<boolean>;
};

/**
 * Lets requests through that carry a live access token for this server itself, with the scope. Needs `addBearerCheck`.
 */
export function requireScope({ scope, isLive }: ScopeCheck): preHandlerAsyncHookHandler {
  return async (request: FastifyRequest) => {
    if (request.headers.authorization === undefined)
      throw new AppError('not_signed_in', { acceptsToken: true });
    const claims = await request.jwtVerify<TokenClaims>().catch(refuse);
    if (!(await isLive(claims))) throw new AppError('invalid_token');
    if (!claims.scope.split(' ').includes(scope)) throw new AppError('insufficient_scope');
  };
}

/** What @fastify/jwt has to say against a token that our rules for header and shape let through. */
const REFUSALS = ['FST_JWT_AUTHORIZATION_TOKEN_INVALID', 'FAST_JWT_INVALID_PAYLOAD'];

/** What is not a word against the token is thrown as what it is: keys that cannot be known, or a bug. */
function refuse(error: Error & { code?: string }): never {
  const isRefusal = error instanceof VerifierError || REFUSALS.includes(String(error.code));
  throw isRefusal ? new AppError('invalid_token') : error;
}

/** The token of an Authorization header (RFC 6750 §2.1); empty for anything else. */
export function bearerOf(authorization: string): string {
  const [, token = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  return token;
}
