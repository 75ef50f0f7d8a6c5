#!/usr/bin/env node
import { Command } from 'commander';
import { addClients } from './operator/clients-cli.ts';
import { addDoctor } from './operator/doctor-cli.ts';
import { explainError } from './operator/explain-error.ts';
import { addKeys } from './operator/keys-cli.ts';
import { addMigrate } from './operator/migrate-cli.ts';
import { addOutbox } from './operator/outbox-cli.ts';
import { addSettings } from './operator/settings-cli.ts';

/** Each adds one command to the program. */
const commands = [addSettings, addMigrate, addKeys, addClients, addOutbox, addDoctor];

/** Runs one command line, in the form of `process.argv`. An error is explained on stderr, and the exit code is 1. */
export async function runCli(argv: string[], adders = commands): Promise<void> {
  const program = new Command('doorward').description('A standalone, self-hosted auth server');
  for (const add of adders) add(program);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.stderr.write(`${explainError(error)}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await runCli(process.argv);
