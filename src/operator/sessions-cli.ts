import type { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { CommandLineError } from './command-line-error.ts';
import { runCommand } from './run-command.ts';
import { print } from './table.ts';

type EndOptions = { all?: boolean; json?: boolean };

async function endSessions({ all = false, json }: EndOptions): Promise<void> {
  // No operator must sign out everyone by mistake.
  if (!all) throw new CommandLineError('Say --all: this signs out all users.');
  const answer = await runCommand(loadConfig(process.env), 'sessions.end-all');
  print(answer, { json }, ({ ended }) => `Sessions that were ended: ${ended}\n`);
}

/** `doorward sessions`. */
export function addSessions(program: Command): void {
  const sessions = program.command('sessions').description('the signed-in devices of all users');
  sessions
    .command('end')
    .description('end sessions: their users must sign in again')
    .option('--all', 'all of them, of all users')
    .option('--json', 'for programs')
    .action(endSessions);
}
