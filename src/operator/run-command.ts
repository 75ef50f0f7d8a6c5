import { join } from 'node:path';
import type { Adapters } from '../adapters/adapters.ts';
import { COMMAND_SOCKET, DataFolderError, holdsDatabase } from '../adapters/data-folder.ts';
import { IGNORE_EVENTS, openAdapters } from '../adapters/open-adapters.ts';
import { openCommandPlatform } from '../adapters/platform.ts';
import type { Admin } from '../admin/open-admin.ts';
import { openOperations } from '../admin/open-operations.ts';
import { openAudit } from '../audit/open-audit.ts';
import type { Config } from '../config/config.ts';
import { createDatabaseClock, steadyClock } from '../core/clock.ts';
import { openKeys } from '../keys/open-keys.ts';
import { openCommandOutbox } from '../outbox/open-outbox.ts';
import { openSessions } from '../sessions/open-sessions.ts';
import { openWebhooks } from '../webhooks/open-webhooks.ts';
import { CommandLineError } from './command-line-error.ts';
import { callCommand } from './command-socket.ts';
import { createOperatorCommands, type OperatorCommands } from './operator-commands.ts';

type Answer<Name extends keyof OperatorCommands> = Awaited<ReturnType<OperatorCommands[Name]>>;

/** Runs commands one after the other, in one place. */
export type CommandSession = {
  /** @throws AppError, DatabaseError, ServerAway */
  run<Name extends keyof OperatorCommands>(
    name: Name,
    ...args: Parameters<OperatorCommands[Name]>
  ): Promise<Answer<Name>>;
  /** Makes new connections to the database: those that wait for one that was away wait long. */
  renew(): void;
  close(): Promise<void>;
};

/** The embedded server that ran the commands before does not answer: it may start again. */
export class ServerAway extends CommandLineError {}

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
    const answer = await callCommand(socketOf(config), name, args[0]);
    if (answer !== null) return answer.result as Answer<Name>;
  }
  const session = await openHere(config);
  try {
    return await session.run(name, ...args);
  } finally {
    await session.close();
  }
}

/**
 * For many commands: where they run is decided once, as by `runCommand`.
 * @throws AppError, DataFolderError, KeyEncryptionKeyError, DatabaseError; `run` also ServerAway
 */
export async function openCommands(config: Config): Promise<CommandSession> {
  const isServed = config.EMBEDDED && (await callCommand(socketOf(config), 'migrations.last')) !== null;
  return isServed ? openThere(socketOf(config)) : openHere(config);
}

function socketOf({ DATA_DIR }: Config): string {
  return join(DATA_DIR, COMMAND_SOCKET);
}

/** What a call ends with when the server is killed meanwhile. */
const BROKEN_OFF = /^(ECONNRESET|EPIPE)$/;

function openThere(path: string): CommandSession {
  return {
    async run(name, ...args) {
      const answer = await callCommand(path, name, args[0]).catch((error: NodeJS.ErrnoException) => {
        if (BROKEN_OFF.test(String(error.code))) return null;
        throw error;
      });
      if (answer === null)
        throw new ServerAway('The server that ran when this began does not answer: start it.');
      return answer.result as never;
    },
    renew() {},
    async close() {},
  };
}

/** @throws DataFolderError and what opening the database throws */
async function openHere(config: Config): Promise<CommandSession> {
  // Otherwise a mistyped folder, or a forgotten DATABASE_URL, would create a new database.
  if (config.EMBEDDED && !holdsDatabase(config.DATA_DIR)) {
    throw new DataFolderError(
      `${config.DATA_DIR} holds no database: set DATA_DIR, or DATABASE_URL and REDIS_URL, as the server has them`,
    );
  }
  const adapters = await openAdapters(config, steadyClock, IGNORE_EVENTS);
  const closes = [adapters.close];
  // The command is done, or has failed with an error of its own: this must not hide its result, which may be a secret.
  const close = async () => {
    for (const closeOne of closes) await Promise.allSettled([closeOne()]);
  };
  try {
    await adapters.prepare();
    const commands = openCommandsOn(config, adapters, closes);
    return {
      async run(name, ...args) {
        const run = commands[name] as (...args: unknown[]) => Promise<unknown>;
        return (await run(...args)) as never;
      },
      renew: adapters.renewDatabase,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param closes what was opened puts its end here, before the ends of what it stands on */
function openCommandsOn(
  config: Config,
  adapters: Adapters,
  closes: (() => Promise<void>)[],
): OperatorCommands {
  const platform = openCommandPlatform(config, adapters, createDatabaseClock(steadyClock));
  const outbox = openCommandOutbox(platform);
  const audit = openAudit(platform).service;
  const keys = openKeys(platform, { audit });
  const sessions = openSessions(platform, { outbox, audit });
  openWebhooks(platform, { outbox, audit });
  let admin: Promise<Admin> | undefined;
  const openAdmin = async () => {
    const { openCommandAdmin } = await import('./open-command-admin.ts');
    const opened = openCommandAdmin(platform, { outbox, audit, sessions });
    closes.unshift(opened.close);
    return opened.admin;
  };
  return createOperatorCommands(platform, {
    adapters,
    audit,
    sessions: sessions.service,
    keys,
    operations: openOperations(platform, { audit, keys, afterKeyChange: async () => {} }),
    prepareKeys: keys.service.refresh,
    admin: async () => {
      admin ??= openAdmin();
      return admin;
    },
  });
}
