import type { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { DeadListing, LaneListing, OutboxListing } from '../outbox/outbox-commands.ts';
import { CommandLineError } from './command-line-error.ts';
import { runCommand } from './run-command.ts';
import { print, table } from './table.ts';

type OutboxOptions = { json?: boolean; all?: boolean };

async function listOutbox(options: OutboxOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'outbox.list'), options, outboxText);
}

async function retryMessages(id: string | undefined, { all = false, json }: OutboxOptions): Promise<void> {
  // No operator must retry all of them by mistake.
  if ((id === undefined) !== all) throw new CommandLineError('Name one message, or say --all.');
  const answer = await runCommand(loadConfig(process.env), 'outbox.retry', id === undefined ? {} : { id });
  print(answer, { json }, ({ retried }) => `To be tried again: ${retried}\n`);
}

async function dropMessage(id: string, options: OutboxOptions): Promise<void> {
  const answer = await runCommand(loadConfig(process.env), 'outbox.drop', { id });
  print(answer, options, ({ dropped }) => `Deleted: ${dropped}\n`);
}

function outboxText({ lanes, dead }: OutboxListing): string {
  if (lanes.length === 0) return 'Everything has been delivered.\n';
  const laneTable = table(['KIND', 'WAITING', 'OLDEST', 'DEAD'], lanes.map(laneRow));
  if (dead.length === 0) return laneTable;
  return `${laneTable}\n${table(['DEAD MESSAGE', 'KIND', 'ATTEMPTS', 'WRITTEN', 'DEAD SINCE', 'LAST ERROR'], dead.map(deadRow))}`;
}

function laneRow({ kind, waiting, oldest_at, dead }: LaneListing): string[] {
  return [kind, String(waiting), oldest_at ?? '', String(dead)];
}

function deadRow({ id, kind, attempts, created_at, dead_at, last_error }: DeadListing): string[] {
  return [id, kind, String(attempts), created_at, dead_at, last_error ?? ''];
}

/** `doorward outbox`. */
export function addOutbox(program: Command): void {
  const outbox = program.command('outbox').description('what was committed and is still to be delivered');
  outbox
    .command('list')
    .description('print what waits, and the messages that were given up after their last attempt')
    .option('--json', 'for programs')
    .action(listOutbox);
  outbox
    .command('retry [id]')
    .description('let a message that was given up be tried again')
    .option('--all', 'all of them')
    .option('--json', 'for programs')
    .action(retryMessages);
  outbox
    .command('drop <id>')
    .description('delete a message that was given up: it is never delivered')
    .option('--json', 'for programs')
    .action(dropMessage);
}
