import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const MAX_PIPELINED = 16;
const MAX_UNSENT_BYTES = 256 * 1024;

/** The answers of each connection that have not been sent as a whole. */
const waiting = new WeakMap<Socket, Set<ServerResponse>>();

/**
 * Closes a connection on which too many answers, or too many bytes of them, wait to be read. Call it before other hooks.
 *
 * Node stops reading from such a connection, but only after it has served every request of the 64 KiB that it has read
 * already: that is two thousand requests, and all their answers stay in memory for as long as the client does not read.
 */
export function addConnectionLimits(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw: { socket } }, reply, done) => {
    const answers = waiting.get(socket) ?? new Set();
    if (answers.size >= MAX_PIPELINED || unsentBytes(answers) > MAX_UNSENT_BYTES) socket.destroy();
    // The parser goes on to the end of what it has read, even when the connection is closed.
    if (socket.destroyed) return void reply.hijack();
    waiting.set(socket, answers.add(reply.raw));
    done();
  });

  app.addHook('onResponse', ({ raw: { socket } }, reply, done) => {
    waiting.get(socket)?.delete(reply.raw);
    done();
  });
}

/** The answer that is being sent on a connection. */
export function findAnswer(socket: Socket): ServerResponse | undefined {
  return [...(waiting.get(socket) ?? [])].find(({ headersSent }) => headersSent);
}

function unsentBytes(answers: Set<ServerResponse>): number {
  let bytes = 0;
  for (const { writableLength } of answers) bytes += writableLength;
  return bytes;
}
