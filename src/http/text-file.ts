import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** A file that pages load, ready to be sent. */
export type TextFile = { type: string; bytes: Buffer; etag: string };

/** @param type the media type, such as `text/css; charset=utf-8` */
export function toTextFile(type: string, text: string): TextFile {
  return { type, bytes: Buffer.from(text), etag: `"${hash('sha256', text, 'base64url').slice(0, 22)}"` };
}

/**
 * Answers with the file, or 304 to whoever has it. Names stay from version to version: while a new one is rolled out, the page
 * and its files come from different replicas. So browsers ask again each time, and get a file if it has changed.
 */
export function sendTextFile(request: FastifyRequest, reply: FastifyReply, { type, bytes, etag }: TextFile) {
  reply.headers({ etag, 'cache-control': 'public, no-cache' });
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return reply.type(type).send(bytes);
}
