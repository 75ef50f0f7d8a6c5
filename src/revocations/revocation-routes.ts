import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig, FastifyReply, preHandlerAsyncHookHandler } from 'fastify';
import Type from 'typebox';
import { prefersEventStream } from '../http/accept-header.ts';
import { problemResponses } from '../http/problem.ts';
import { Query } from '../http/schemas.ts';
import type { RevocationFeed } from './revocation-feed.ts';
import type { RevocationStreams } from './revocation-streams.ts';
import type { RevocationWaits } from './revocation-waits.ts';

const BEAT_EVERY_MS = 1_000;

const Cursor = (description: string) =>
  Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,40}\\.\\d{1,16}$', description }));

const FeedQuery = Query({
  after: Cursor('`cursor` of the last answer; the whole window when left out'),
  wait: Type.Optional(
    Type.String({
      pattern: '^(1?\\d|2[0-5])$',
      description: 'Seconds to hold an answer that has nothing new, 0 to 25',
    }),
  ),
});

const FeedHeaders = Type.Object({
  'last-event-id': Cursor('What a stream continues after; goes before `after`'),
});

const Hash = Type.String({ description: 'base64url of 8 bytes: the beginning of a SHA-256' });
const Hashes = (of: string) => Type.String({ description: `base64url of 8 bytes for each: hashes of ${of}` });
const Pairs = (description: string) => Type.Array(Type.Tuple([Hash, Type.Integer()]), { description });

const FeedResponse = Type.Object({
  cursor: Type.String({ description: 'For `after`' }),
  from: Type.Union([Type.String(), Type.Null()], {
    description: 'What this continues; null: forget all that you hold, then add this',
  }),
  as_of: Type.Integer({ description: 'Complete up to here: milliseconds, by the clock of the database' }),
  age: Type.Number({ description: 'Seconds from `as_of` to this answer' }),
  window: Type.Integer({ description: 'Seconds that an entry must be kept' }),
  more: Type.Optional(Type.Boolean({ description: 'There is more after this: ask again at once' })),
  overflow: Type.Optional(Type.Boolean({ description: 'Too many: this is the newest part of the window' })),
  sessions: Hashes('`sid`'),
  tokens: Hashes('`jti`'),
  users: Pairs('Hash of `sub`, and the least `cv` that is still good'),
  clients: Pairs('Hash of `client_id`, and the last `iat` that is void'),
  keys: Type.Array(Type.String(), { description: '`kid`s whose tokens are void' }),
});

/** @param isGuarded only service clients may read */
function schemaFor(isGuarded: boolean) {
  return {
    tags: ['revocations'],
    summary: 'Which access tokens are void before their time',
    description:
      'Sign-outs, bans and changes since a cursor, for services that check tokens offline. With `Accept: text/event-stream` the same objects come as events of a stream, as soon as there is something.',
    ...(isGuarded && { security: [{ client: [] }, { accessToken: [] }] }),
    querystring: FeedQuery,
    headers: FeedHeaders,
    response: {
      200: {
        description: 'JSON, or a stream for a client that prefers it',
        content: {
          'application/json': { schema: FeedResponse },
          'text/event-stream': { schema: Type.Unsafe<string>({ type: 'string' }) },
        },
      },
      ...problemResponses('validation_failed', 'rate_limited', 'overloaded', 'unavailable'),
      ...(isGuarded && problemResponses('invalid_client', 'invalid_token', 'insufficient_scope')),
    },
  };
}

type RevocationRoutesOptions = {
  feed: RevocationFeed;
  streams: RevocationStreams;
  waits: RevocationWaits;
  /** The limit on requests of one network. */
  limit: FastifyContextConfig;
  /** Refuses those who may not read. Undefined: anyone may. */
  requireReader?: preHandlerAsyncHookHandler | undefined;
  /** Aborted when the server begins to end: open streams must not hold that up. */
  ending?: AbortSignal | undefined;
};

/** What services that check tokens offline must know: which tokens are void before their time. */
export const revocationRoutes: FastifyPluginAsyncTypebox<RevocationRoutesOptions> = async (
  app,
  { feed, streams, waits, limit, requireReader, ending },
) => {
  const beats = setInterval(() => void streams.beat(), BEAT_EVERY_MS).unref();
  const letGo = () => {
    clearInterval(beats);
    streams.close();
    waits.close();
  };
  ending?.addEventListener('abort', letGo);
  app.addHook('preClose', async () => letGo());
  const cacheControl = requireReader === undefined ? 'public, max-age=1' : 'private, no-store';

  app.get(
    '/revocations',
    {
      // Every service asks every few seconds: too often for the log.
      logLevel: 'warn',
      config: limit,
      ...(requireReader && { preHandler: requireReader }),
      schema: schemaFor(requireReader !== undefined),
    },
    async (request, reply) => {
      const { after = null, wait } = request.query;
      // CORS has added Origin already.
      reply.header('vary', [reply.getHeader('vary'), 'Accept'].join(', '));
      if (request.method === 'GET' && prefersEventStream(request.headers.accept)) {
        // Throws where there is nothing to stream: later the answer could not say so any more.
        if (feed.state() === null) await feed.answer(null);
        streams.requirePlace();
        return streams.add(beginStream(reply), request.headers['last-event-id'] ?? after);
      }
      const message = await waits.answer({ after, waitMs: Number(wait ?? 0) * 1000, line: reply.raw });
      return reply
        .header('cache-control', cacheControl)
        .type('application/json; charset=utf-8')
        .serializer(asIs)
        .send(message as never);
    },
  );
};

/**
 * Sends the head of the answer, and leaves its body to the caller. The end of the connection is the end of the body: chunks
 * would only add bytes to each event, and a connection that goes on after the stream would bring its client back to a
 * server that ends.
 */
function beginStream(reply: FastifyReply): ServerResponse {
  reply
    .header('content-type', 'text/event-stream')
    // nginx would collect events before it passes them on.
    .header('x-accel-buffering', 'no')
    .hijack();
  reply.raw.useChunkedEncodingByDefault = false;
  return reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders);
}

function asIs(body: string): string {
  return body;
}
