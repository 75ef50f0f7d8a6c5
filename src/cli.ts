#!/usr/bin/env node
import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { addAudit } from './operator/audit-cli.ts';
import { addBackup } from './operator/backup-cli.ts';
import { addClients } from './operator/clients-cli.ts';
import { addDoctor } from './operator/doctor-cli.ts';
import { explainError } from './operator/explain-error.ts';
import { addKeys } from './operator/keys-cli.ts';
import { addMail } from './operator/mail-cli.ts';
import { addMigrate } from './operator/migrate-cli.ts';
import { addOutbox } from './operator/outbox-cli.ts';
import { addRoles } from './operator/roles-cli.ts';
import { addSessions } from './operator/sessions-cli.ts';
import { addSettings } from './operator/settings-cli.ts';
import { streaming } from './operator/streaming.ts';
import { addUsers } from './operator/users-cli.ts';

/** Each adds one command to the program. */
const commands = [
  ...[addStart, addSettings, addMigrate, addKeys, addClients],
  ...[addUsers, addRoles],
  ...[addSessions, addOutbox, addAudit, addBackup, addMail, addDoctor],
];

/** `doorward start`. The server loads only then: the other commands need little of it. */
function addStart(program: Command): void {
  program
    .command('start')
    .description('run the server; so does `doorward` alone')
    .action(async () => void (await import('./server.ts')));
}

/** Runs one command line, in the form of `process.argv`. An error is explained on stderr, and the exit code is 1. */
export async function runCli(argv: string[], adders = commands): Promise<void> {
  const program = new Command('doorward').description('A standalone, self-hosted auth server');
  program.version(packageJson.version, '--version', 'print the version');
  for (const add of adders) add(program);
  try {
    await program.parseAsync(argv.length === 2 ? [...argv, 'start'] : argv);
  } catch (error) {
    process.stderr.write(`${explainError(error, process.env)}\n`);
    process.exitCode = 1;
  }
}

/** Such as a full disk. Without this, the process would end with a stack. */
function failWithoutOutput({ message, code }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE' && streaming.isOn) return;
  process.stderr.write(`The command is done, and its answer cannot be written: ${message}.\n`);
  process.exitCode = 1;
}

if (import.meta.main) {
  process.stdout.on('error', failWithoutOutput);
  await runCli(process.argv);
}
