import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { ExportedBatch } from '../imports/imported-user.ts';
import { CommandLineError } from './command-line-error.ts';
import { createPrivateFile } from './private-file.ts';
import { openProgress } from './progress.ts';
import { type CommandSession, openCommands } from './run-command.ts';
import { say } from './table.ts';

type ExportOptions = { force?: boolean; withoutHashes?: boolean };

const BATCH_USERS = 1_000;

async function exportUsers(file: string | undefined, options: ExportOptions): Promise<void> {
  if (file !== undefined && !options.force && existsSync(file)) {
    throw new CommandLineError(`${file} is there already: name a file that is not, or give --force.`);
  }
  const session = await openCommands(loadConfig(process.env));
  try {
    const batches = batchesOf(session, options);
    const count = file === undefined ? await toStdout(batches) : await toFile(file, batches);
    say(`Users exported: ${count}. ${options.withoutHashes ? WITHOUT : WITH}`);
  } finally {
    await session.close();
  }
}

const WITH = 'Their password hashes are in it: keep it as a secret, and delete it when it is not needed.';
const WITHOUT = 'Their password hashes are not in it.';

type Batch = { lines: string; count: number };

async function* batchesOf(
  session: CommandSession,
  { withoutHashes = false }: ExportOptions,
): AsyncGenerator<Batch> {
  let after: string | null = null;
  do {
    const batch: ExportedBatch = await session.run('users.export-batch', { after, limit: BATCH_USERS });
    const lines = batch.records.map((user) =>
      JSON.stringify(withoutHashes ? { ...user, password_hash: null } : user),
    );
    yield { lines: lines.map((line) => `${line}\n`).join(''), count: lines.length };
    after = batch.next;
  } while (after !== null);
}

async function toStdout(batches: AsyncGenerator<Batch>): Promise<number> {
  // Resolves when the reader of a pipe has taken it.
  const write: (text: string) => Promise<unknown> = promisify(process.stdout.write.bind(process.stdout));
  let count = 0;
  for await (const batch of batches) {
    count += batch.count;
    await write(batch.lines);
  }
  return count;
}

/** The file gets its name when it is whole. */
async function toFile(path: string, batches: AsyncGenerator<Batch>): Promise<number> {
  const progress = await openProgress(process.stderr);
  const file = createPrivateFile(path);
  let count = 0;
  try {
    for await (const batch of batches) {
      file.append(batch.lines);
      count += batch.count;
      progress.update(`${count} users`);
    }
  } catch (error) {
    file.drop();
    throw error;
  } finally {
    progress.end();
  }
  file.keep(path);
  return count;
}

/** `doorward users export`. */
export function addExport(users: Command): void {
  users
    .command('export [file]')
    .description(
      'write all users, a line of JSON for each, as `import` takes them; without a file to standard output',
    )
    .option('--without-hashes', 'leave the password hashes out')
    .option('--force', 'replace a file that is there')
    .action(exportUsers);
}
