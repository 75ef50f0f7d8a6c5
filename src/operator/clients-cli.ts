import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/config.ts';
import { duration } from '../config/config-formats.ts';
import type { ClientListing, NewCredentials } from '../oauth/client-commands.ts';
import { CommandLineError } from './command-line-error.ts';
import { runCommand } from './run-command.ts';
import { print, table } from './table.ts';

type ClientOptions = {
  json?: boolean;
  name?: string;
  scope?: string[] | true;
  audience?: string[];
  publicKeys?: string;
  overlap: string;
};

async function listClients(options: ClientOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'clients.list'), options, clientTable);
}

async function addClient(id: string, options: ClientOptions): Promise<void> {
  const wish = { id, ...wishOf(options), ...publicKeysOf(options) };
  printCredentials(await runCommand(loadConfig(process.env), 'clients.add', wish), options);
}

async function updateClient(id: string, options: ClientOptions): Promise<void> {
  const wish = { id, ...wishOf(options) };
  printClient(await runCommand(loadConfig(process.env), 'clients.update', wish), options);
}

/** What is given of the options that say what a client is. */
function wishOf({ name, scope, audience }: ClientOptions) {
  return {
    ...(name !== undefined && { name }),
    ...(scope && { scopes: scope === true ? [] : scope }),
    ...(audience && { audiences: audience }),
  };
}

async function rotateClientSecret(id: string, options: ClientOptions): Promise<void> {
  const wish = { id, overlap_ms: overlap.decode(options.overlap), ...publicKeysOf(options) };
  printCredentials(await runCommand(loadConfig(process.env), 'clients.rotate-secret', wish), options);
}

async function disableClient(id: string, options: ClientOptions): Promise<void> {
  printClient(await runCommand(loadConfig(process.env), 'clients.disable', { id }), options);
}

async function enableClient(id: string, options: ClientOptions): Promise<void> {
  printClient(await runCommand(loadConfig(process.env), 'clients.enable', { id }), options);
}

/** @throws CommandLineError for a file that cannot be read, or is not JSON */
function publicKeysOf({ publicKeys: path }: ClientOptions): { public_keys?: unknown } {
  if (path === undefined) return {};
  try {
    return { public_keys: JSON.parse(readFileSync(path, 'utf8')) };
  } catch (error) {
    // Without the parser's message, which quotes the file: it may hold a private key by mistake.
    throw new CommandLineError(
      `--public-keys ${JSON.stringify(path)}: ${hindranceOfFile(Object(error).code)}.`,
    );
  }
}

function hindranceOfFile(code: unknown): string {
  if (code === undefined) return 'this file is not JSON. Write the JWK or JWK Set of the client into it';
  if (code === 'EISDIR') return 'this is a folder. Name the file with the JWK or JWK Set in it';
  return `there is no file that this user can read (${code}). Correct the path, or the rights to the file`;
}

const overlap = duration('0s', '30d');

function readOverlap(text: string): string {
  if (!overlap.accepts(text)) throw new InvalidArgumentError(`Expected ${overlap.expects}.`);
  return text;
}

function clientTable(clients: ClientListing[]): string {
  const rows = clients.map(({ client_id, authentication, scopes, audiences, disabled_at }) => [
    client_id,
    authentication,
    audiences.join(','),
    scopes.join(','),
    disabled_at ?? '',
  ]);
  return table(['CLIENT', 'BY', 'AUDIENCES', 'SCOPES', 'DISABLED'], rows);
}

function printClient(client: ClientListing, options: ClientOptions): void {
  print(client, options, () => clientTable([client]));
}

function printCredentials(credentials: NewCredentials, options: ClientOptions): void {
  const { client_id: id } = credentials.client;
  const ifLost = `The secret of ${id} is lost. Make a new one with \`doorward clients rotate-secret ${id}\`.\n`;
  print(credentials, options, credentialsText, credentials.client_secret === null ? '' : ifLost);
}

function credentialsText({ client, client_secret }: NewCredentials): string {
  if (client_secret === null) return clientTable([client]);
  return `client_id      ${client.client_id}\nclient_secret  ${client_secret}\n\nKeep the secret now: it is not shown again.\n`;
}

/** `doorward clients`. */
export function addClients(program: Command): void {
  const clients = program
    .command('clients')
    .description('the service clients: machine callers with credentials');
  const name = ['--name <name>', 'for people'] as const;
  const audience = ['--audience <name...>', 'services whose tokens it may get, see and redeem'] as const;
  const scope = ['--scope [scope...]', 'scopes that it may have; with no name, none'] as const;
  const publicKeys = [
    '--public-keys <file>',
    'JWK or JWK Set of the client, for private_key_jwt instead of a secret',
  ] as const;
  clients
    .command('list')
    .description('print the service clients')
    .option('--json', 'for programs')
    .action(listClients);
  clients
    .command('add <id>')
    .description('register a service client, and print its secret once')
    .option(...name)
    .option(...audience)
    .option(...scope)
    .option(...publicKeys)
    .option('--json', 'for programs')
    .action(addClient);
  clients
    .command('update <id>')
    .description('replace what is given; tokens that say more than that become inactive')
    .option(...name)
    .option(...audience)
    .option(...scope)
    .option('--json', 'for programs')
    .action(updateClient);
  clients
    .command('rotate-secret <id>')
    .description('make a new secret, and print it once')
    .option('--overlap <time>', 'how long the earlier secret stays valid', readOverlap, '24h')
    .option(...publicKeys)
    .option('--json', 'for programs')
    .action(rotateClientSecret);
  clients
    .command('disable <id>')
    .description('disable a service client, and make its own tokens inactive')
    .option('--json', 'for programs')
    .action(disableClient);
  clients
    .command('enable <id>')
    .description('take back `disable`: the client counts again, and gets new tokens')
    .option('--json', 'for programs')
    .action(enableClient);
}
