import type { Command } from 'commander';
import { IGNORE_EVENTS, openAdapters } from '../adapters/open-adapters.ts';
import { loadConfig } from '../config/config.ts';
import { steadyClock } from '../core/clock.ts';

async function migrate(): Promise<void> {
  const adapters = await openAdapters(loadConfig(process.env), steadyClock, IGNORE_EVENTS);
  try {
    await adapters.prepare();
    await adapters.migrate(() => process.stderr.write('Waiting for another process, which is migrating\n'));
    process.stdout.write(`The schema is up to date: ${adapters.location}\n`);
  } finally {
    await adapters.close();
  }
}

/** `doorward migrate`. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database schema up to date; safe to run from several places at once')
    .action(migrate);
}
