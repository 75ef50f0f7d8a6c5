import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BackupReceipt } from '../adapters/backup-file.ts';
import type { Restored } from '../adapters/restore-embedded.ts';
import { loadConfig } from '../config/config.ts';
import { CommandLineError } from './command-line-error.ts';
import { runCommand } from './run-command.ts';
import { print } from './table.ts';

type BackupOptions = { json?: boolean };
type RestoreOptions = { json?: boolean; replace?: boolean; keepSessions?: boolean };

async function backup(file: string, options: BackupOptions): Promise<void> {
  // The server that writes it may have another working directory.
  print(
    await runCommand(loadConfig(process.env), 'backup.write', { file: resolve(file) }),
    options,
    receiptText,
  );
}

async function restore(
  file: string,
  { json, replace = false, keepSessions = false }: RestoreOptions,
): Promise<void> {
  const config = loadConfig(process.env);
  if (!config.EMBEDDED) {
    throw new CommandLineError(
      'The data is in PostgreSQL: restore it with the tools of PostgreSQL, see docs/backups.md',
    );
  }
  // It loads the database: other commands must not wait for that.
  const { restoreEmbedded } = await import('../adapters/restore-embedded.ts');
  const keys = [config.KEY_ENCRYPTION_KEY, config.KEY_ENCRYPTION_KEY_PREVIOUS];
  const settingsKeys = keys.filter((key) => key !== undefined);
  const wish = { file, dataFolder: config.DATA_DIR, settingsKeys, mayReplace: replace, keepSessions };
  print(await restoreEmbedded(wish), { json }, (restored) => restoredText(restored, keepSessions));
}

function receiptText({ file, bytes, holds_key }: BackupReceipt): string {
  const key = holds_key
    ? 'It holds the key-encryption key: whoever has the file can make access tokens. Keep it as a secret.'
    : 'The key-encryption key is not in it. Keep KEY_ENCRYPTION_KEY in another place: without it the file cannot be restored.';
  return `Backed up to ${file}, ${bytes} bytes.\n${key}\n`;
}

function restoredText(
  { created_at, release, data_folder, replaced, sessions_ended }: Restored,
  keptSessions: boolean,
): string {
  return [
    `Restored in ${data_folder}: the data of ${created_at}, from release ${release}.`,
    ...(replaced === null ? [] : [`The data that was there is in ${replaced}.`]),
    keptSessions
      ? 'Sessions are as they were then: users who have signed out since are signed in again.'
      : `Sessions that were ended: ${sessions_ended}. All users must sign in again.`,
    ...FORGOTTEN,
  ]
    .join('\n')
    .concat('\n');
}

const FORGOTTEN = [
  'Passwords, clients and signing keys are as they were then, too. If one of them was changed since because it had leaked,',
  'change it again: `doorward keys rotate --now --revoke KID`, `doorward clients rotate-secret ID --overlap 0s`.',
];

/** `doorward backup` and `doorward restore`. */
export function addBackup(program: Command): void {
  program
    .command('backup <file>')
    .description('write all data of an embedded server into a new file, while it runs')
    .option('--json', 'for programs')
    .action(backup);
  program
    .command('restore <file>')
    .description('make the data of an embedded server, which does not run, what it was at a backup')
    .option('--replace', 'move the data that is there to a folder beside it')
    .option('--keep-sessions', 'do not end the sessions: who signed out since is signed in again')
    .option('--json', 'for programs')
    .action(restore);
}
