import { type Command, Option } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { KeyListing, KeyRotation } from '../keys/key-commands.ts';
import { runCommand } from './run-command.ts';
import { print, table } from './table.ts';

type KeyOptions = { json?: boolean; now?: boolean; revoke?: string };

async function listKeys(options: KeyOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'keys.list'), options, keyTable);
}

async function rotateKeys({ json, ...options }: KeyOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'keys.rotate', options), { json }, rotationText);
}

async function rewrapKeys(options: KeyOptions): Promise<void> {
  const kids = await runCommand(loadConfig(process.env), 'keys.rewrap');
  print(kids, options, () => `Put under the current KEY_ENCRYPTION_KEY: ${kids.length || 'no'} keys\n`);
}

function rotationText({ keys, reason }: KeyRotation): string {
  return reason === null ? keyTable(keys) : `${keyTable(keys)}\nNothing was changed: ${reason}\n`;
}

function keyTable(keys: KeyListing[]): string {
  const rows = keys.map(({ kid, status, algorithm, published_at, activated_at }) => [
    kid,
    // As wide as the longest status, so that the columns have the same place in each call.
    status.padEnd('pending'.length),
    algorithm,
    published_at,
    activated_at ?? '',
  ]);
  return table(['KID', 'STATUS', 'ALG', 'PUBLISHED', 'SIGNS SINCE'], rows);
}

/** `doorward keys`. */
export function addKeys(program: Command): void {
  const keys = program.command('keys').description('the signing keys');
  const revoke = new Option('--revoke <kid>', 'with --now: take a leaked key out of the key set at once');
  keys
    .command('list')
    .description('print the signing keys, the oldest first')
    .option('--json', 'for programs')
    .action(listKeys);
  keys
    .command('rotate')
    .description('publish the next key, which signs once every service can have fetched it')
    .option('--now', 'let it sign at once: services refuse its tokens until they fetch the keys again')
    .addOption(revoke.implies({ now: true }))
    .option('--json', 'for programs')
    .action(rotateKeys);
  keys
    .command('rewrap')
    .description('encrypt the signing keys with the current KEY_ENCRYPTION_KEY instead of the previous one')
    .option('--json', 'for programs')
    .action(rewrapKeys);
}
