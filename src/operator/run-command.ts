import { join } from 'node:path';
import { COMMAND_SOCKET, DataFolderError, holdsDatabase } from '../adapters/data-folder.ts';
import { IGNORE_EVENTS, openAdapters } from '../adapters/open-adapters.ts';
import { openCommandPlatform } from '../adapters/platform.ts';
import { openAudit } from '../audit/open-audit.ts';
import type { Config } from '../config/config.ts';
import { createDatabaseClock, steadyClock } from '../core/clock.ts';
import { openKeys } from '../keys/open-keys.ts';
import { openOutbox } from '../outbox/open-outbox.ts';
import { openSessions } from '../sessions/open-sessions.ts';
import { callCommand } from './command-socket.ts';
import { createOperatorCommands, type OperatorCommands } from './operator-commands.ts';

type Answer<Name extends keyof OperatorCommands> = Awaited<ReturnType<OperatorCommands[Name]>>;

/**
 * Runs an operator's command: inside the embedded server if one runs on the data folder, otherwise in this process,
 * directly on the database.
 * @throws AppError, DataFolderError, KeyEncryptionKeyError, DatabaseError
 */
export async function runCommand<Name extends keyof OperatorCommands>(
  config: Config,
  name: Name,
  ...args: Parameters<OperatorCommands[Name]>
): Promise<Answer<Name>> {
  if (config.EMBEDDED) {
    const answer = await callCommand(join(config.DATA_DIR, COMMAND_SOCKET), name, args[0] ?? {});
    if (answer !== null) return answer.result as Answer<Name>;
    // Otherwise a mistyped folder, or a forgotten DATABASE_URL, would create a new database.
    if (!holdsDatabase(config.DATA_DIR)) {
      throw new DataFolderError(
        `${config.DATA_DIR} holds no database: set DATA_DIR, or DATABASE_URL and REDIS_URL, as the server has them`,
      );
    }
  }
  const adapters = await openAdapters(config, steadyClock, IGNORE_EVENTS);
  const closes = [adapters.close];
  try {
    await adapters.prepare();
    const platform = openCommandPlatform(config, adapters, createDatabaseClock(steadyClock));
    const keys = openKeys(platform);
    const outbox = openOutbox(platform).service;
    const audit = openAudit(platform).service;
    const sessions = openSessions(platform, { outbox, audit });
    const commands = createOperatorCommands(platform, {
      adapters,
      sessions: sessions.service,
      keys,
      afterKeyChange: async () => {},
      prepareKeys: keys.service.refresh,
      admin: async () => {
        const { openCommandAdmin } = await import('./open-command-admin.ts');
        const { admin, close } = openCommandAdmin(platform, { outbox, audit, sessions });
        closes.unshift(close);
        return admin;
      },
    });
    const run = commands[name] as (...args: Parameters<OperatorCommands[Name]>) => Promise<Answer<Name>>;
    return await run(...args);
  } finally {
    // The command is done, or has failed with an error of its own: this must not hide its result, which may be a secret.
    for (const close of closes) await Promise.allSettled([close()]);
  }
}
