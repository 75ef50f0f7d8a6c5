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
  scope?: string[];
  audience?: string[];
  publicKeys?: string;
  overlap: string;
};

async function listClients(options: ClientOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'clients.list'), options, clientTable);
}

async function addClient(id: string, options: ClientOptions): Promise<void> {
  const { name, scope: scopes, audience: audiences } = options;
  const wish = { id, ...(name && { name }), ...(scopes && { scopes }), ...(audiences && { audiences }) };
  const added = await runCommand(loadConfig(process.env), 'clients.add', {
    ...wish,
    ...publicKeysOf(options),
  });
  print(added, options, credentialsText);
}

async function rotateClientSecret(id: string, options: ClientOptions): Promise<void> {
  const wish = { id, overlap_ms: overlap.decode(options.overlap), ...publicKeysOf(options) };
  print(await runCommand(loadConfig(process.env), 'clients.rotate-secret', wish), options, credentialsText);
}

async function disableClient(id: string, options: ClientOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'clients.disable', { id }), options, (client) =>
    clientTable([client]),
  );
}

/** @throws CommandLineError for a file that cannot be read, or is not JSON */
function publicKeysOf({ publicKeys: path }: ClientOptions): { public_keys?: unknown } {
  if (path === undefined) return {};
  try {
    return { public_keys: JSON.parse(readFileSync(path, 'utf8')) };
  } catch (error) {
    // Without the parser's message, which quotes the file: it may hold a private key by mistake.
    const code = error instanceof Error && 'code' in error ? ` (${error.code})` : '';
    throw new CommandLineError(`${path} is not a file with JSON in it${code}.`);
  }
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

function credentialsText({ client, client_secret }: NewCredentials): string {
  if (client_secret === null) return clientTable([client]);
  return `client_id      ${client.client_id}\nclient_secret  ${client_secret}\n\nKeep the secret now: it is not shown again.\n`;
}

/** `doorward clients`. */
export function addClients(program: Command): void {
  const clients = program
    .command('clients')
    .description('the service clients: machine callers with credentials');
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
    .option('--name <name>', 'for people')
    .option('--audience <name...>', 'services whose tokens it may get, see and redeem')
    .option('--scope <scope...>', 'scopes that it may have')
    .option(...publicKeys)
    .option('--json', 'for programs')
    .action(addClient);
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
}
