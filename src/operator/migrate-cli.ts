import type { Command } from 'commander';
import { holdsDatabase } from '../adapters/data-folder.ts';
import { IGNORE_EVENTS, openAdapters } from '../adapters/open-adapters.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { steadyClock } from '../core/clock.ts';
import { type Migration, pendingAfter } from '../db/migrations.ts';
import { createDatabaseWait } from './database-wait.ts';
import { runCommand } from './run-command.ts';
import { print, say } from './table.ts';

type MigrateOptions = { dryRun?: boolean; json?: boolean };

async function migrate({ dryRun, json }: MigrateOptions): Promise<void> {
  const config = loadConfig(process.env);
  if (dryRun) print(await findPending(config), { json }, pendingText);
  else await bringUpToDate(config);
}

async function bringUpToDate(config: Config): Promise<void> {
  const adapters = await openAdapters(config, steadyClock, IGNORE_EVENTS);
  // A job that migrates may start before PostgreSQL does.
  const whenUsable = createDatabaseWait(config, adapters, say);
  try {
    await whenUsable(adapters.prepare);
    await whenUsable(() => adapters.migrate(say));
    process.stdout.write(`The schema is up to date: ${adapters.location}\n`);
  } finally {
    await adapters.close();
  }
}

type PendingMigration = Pick<Migration, 'name' | 'statements'>;

/** What this release would run, also beside a running server of an earlier one, which knows only its own migrations. */
async function findPending(config: Config): Promise<PendingMigration[]> {
  const isNew = config.EMBEDDED && !holdsDatabase(config.DATA_DIR);
  const { last } = isNew ? { last: 0 } : await runCommand(config, 'migrations.last');
  return pendingAfter(last).map(({ name, statements }) => ({
    name,
    statements: statements.map((statement) => statement.trim()),
  }));
}

function pendingText(pending: PendingMigration[]): string {
  if (pending.length === 0) return 'Nothing to do: the schema is up to date.\n';
  const parts = pending.map(({ name, statements }) => `-- ${name}\n${statements.join('\n')}\n`);
  return `${parts.join('\n')}\n-- Nothing was changed. \`doorward migrate\` runs this.\n`;
}

/** `doorward migrate`. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database schema up to date; safe to run from several places at once')
    .option('--dry-run', 'print the SQL that would run, and change nothing')
    .option('--json', 'with --dry-run: for programs')
    .action(migrate);
}
