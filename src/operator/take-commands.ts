import type { FastifyInstance } from 'fastify';
import type { Log } from '../core/log.ts';
import { serveCommands } from './command-socket.ts';
import type { OperatorCommands } from './operator-commands.ts';

/** Opens the socket for operators' commands when the server is ready, if it has such a socket. */
export function takeCommands(
  app: FastifyInstance,
  path: string | null,
  commands: OperatorCommands,
  log: Log,
): void {
  if (path === null) return;
  let stop = async () => {};
  app.addHook('onReady', async () => {
    try {
      stop = await serveCommands(path, commands, log);
    } catch (err) {
      // The server can serve its users without commands.
      log.warn({ err }, `cannot take commands at ${path}: they work ${ONLY_WHILE_STOPPED}`);
    }
  });
  app.addHook('onClose', () => stop());
}

const ONLY_WHILE_STOPPED =
  'only while this server is stopped. If the path is too long for a socket, set a shorter DATA_DIR';
