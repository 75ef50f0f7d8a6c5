import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError, validationFailed } from '../core/errors.ts';
import { findDuplicateKey } from './duplicate-keys.ts';

/**
 * Makes the app accept only JSON in UTF-8, and refuse requests that two parsers could read in two ways.
 *
 * Forms and `text/plain` are refused, because a page of another origin can send them without a CORS preflight.
 */
export function addRequestChecks(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  addJsonParser(app, 'application/json');

  app.addHook('onRequest', ({ raw }, _reply, done) => {
    // `curl -X POST -d ''` sends an empty body and calls it a form.
    if (raw.headers['content-length'] === '0') delete raw.headers['content-type'];
    done(countHeader(raw.rawHeaders, 'host') > 1 ? new AppError('duplicate_host') : undefined);
  });

  app.addHook('onRequest', ({ raw }, reply, done) => {
    const coding = raw.headers['transfer-encoding'];
    if (coding === undefined || coding.toLowerCase() === 'chunked') return done();
    // Where the body ends is not known, so nothing after it can be read either (RFC 9112 §6.1).
    reply.header('connection', 'close');
    done(new AppError('malformed_request', { detail: 'The only transfer coding here is chunked.' }));
  });
}

/** Lets the routes of `app` take bodies of that type, which is JSON with a meaning of its own. */
export function addJsonParser(app: FastifyInstance, contentType: string): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<Buffer>(contentType, { parseAs: 'buffer' }, (request, body, done) => {
    // Many clients send an empty body with a content type when they mean no body.
    if (body.length === 0) return done(null, undefined);
    if (!saysUtf8(request.headers['content-type'])) return done(new AppError('unsupported_media_type'));
    // Decoding bad UTF-8 would quietly turn two different passwords into one.
    if (!isUtf8(body)) return done(new AppError('malformed_request', { detail: 'The body is not UTF-8.' }));
    const text = body.toString('utf8');
    void parseJson(request, text, (error, value) => {
      const duplicate = error ? null : findDuplicateKey(text);
      if (error)
        done(new AppError('malformed_request', { detail: 'The body is not valid JSON.', cause: error }));
      else if (duplicate !== null)
        done(new AppError('malformed_request', { detail: `The body has a field twice: ${duplicate}` }));
      // Fastify passes a missing body to the schema as null; a body with the text `null` is something else.
      else if (value === null) done(validationFailed([{ path: '', message: 'must be an object' }]));
      else done(null, value);
    });
  });
}

/**
 * The Authorization header. Node keeps the first of two, and a gateway may have looked at the other.
 * @throws AppError `malformed_request` when there are two
 */
export function readAuthorization({ raw }: FastifyRequest): string | undefined {
  if (countHeader(raw.rawHeaders, 'authorization') > 1)
    throw new AppError('malformed_request', { detail: 'The Authorization header was sent twice.' });
  return raw.headers.authorization;
}

/** JSON is UTF-8 (RFC 8259 §8.1); a body in another charset would be decoded to the wrong characters. */
function saysUtf8(contentType = ''): boolean {
  const [, charset] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType) ?? [];
  return charset === undefined || /^utf-?8$/i.test(charset);
}

/** @param rawHeaders names and values in turn, as Node gives them */
function countHeader(rawHeaders: string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const header = rawHeaders[at];
    if (header?.length === name.length && header.toLowerCase() === name) count += 1;
  }
  return count;
}
