#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openAdapters, UNHEARD } from './adapters/open-adapters.ts';
import { fetchGatewayReport, gatewayReportText } from './admin/doctor-call.ts';
import type { ClientListing, NewCredentials } from './clients/client-commands.ts';
import { loadConfig } from './config.ts';
import { settingsEnvExample, settingsMarkdown, settingsText } from './config-docs.ts';
import { duration } from './config-formats.ts';
import { explainError } from './explain-error.ts';
import type { KeyListing } from './keys/key-commands.ts';
import { runCommand } from './run-command.ts';

type SettingsOptions = { markdown?: boolean; envExample?: boolean };

function printSettings({ markdown, envExample }: SettingsOptions): void {
  const render = markdown ? settingsMarkdown : envExample ? settingsEnvExample : settingsText;
  process.stdout.write(render());
}

function addSettings(program: Command): void {
  program
    .command('settings')
    .description('print every setting with its default')
    .addOption(new Option('--markdown', 'as the table of the README').conflicts('envExample'))
    .option('--env-example', 'as the text of .env.example')
    .action(printSettings);
}

async function migrate(): Promise<void> {
  const adapters = await openAdapters(loadConfig(process.env), Date.now, UNHEARD);
  try {
    await adapters.migrate();
    process.stdout.write(`The schema is up to date: ${adapters.location}\n`);
  } finally {
    await adapters.close();
  }
}

function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database schema up to date; safe to run from several places at once')
    .action(migrate);
}

type KeyOptions = { json?: boolean; now?: boolean; revoke?: string };

async function listKeys(options: KeyOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'keys.list'), options, keyTable);
}

async function rotateKeys({ json, ...options }: KeyOptions): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'keys.rotate', options), { json }, keyTable);
}

async function rewrapKeys(options: KeyOptions): Promise<void> {
  const kids = await runCommand(loadConfig(process.env), 'keys.rewrap');
  print(kids, options, () => `Put under the current KEY_ENCRYPTION_KEY: ${kids.length || 'no'} keys\n`);
}

function keyTable(keys: KeyListing[]): string {
  const rows = keys.map(({ kid, status, algorithm, published_at, activated_at }) =>
    [kid, status.padEnd(7), algorithm.padEnd(5), published_at, activated_at ?? ''].join('  ').trimEnd(),
  );
  return `${[KEY_TABLE_HEAD, ...rows].join('\n')}\n`;
}

const KEY_TABLE_HEAD = `${'KID'.padEnd(43)}  STATUS   ALG    ${'PUBLISHED'.padEnd(24)}  SIGNS SINCE`;

function addKeys(program: Command): void {
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

/** @throws Error for a file that is not there, or not JSON */
function publicKeysOf({ publicKeys: path }: ClientOptions): { public_keys?: unknown } {
  if (path === undefined) return {};
  try {
    return { public_keys: JSON.parse(readFileSync(path, 'utf8')) };
  } catch {
    throw new InvalidArgumentError(`${path} is not a file with JSON in it.`);
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

function table(head: string[], rows: string[][]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...lines.map((cells) => String(cells[at]).length)));
  const line = (cells: string[]) =>
    cells
      .map((cell, at) => cell.padEnd(Number(widths[at])))
      .join('  ')
      .trimEnd();
  return `${lines.map(line).join('\n')}\n`;
}

function addClients(program: Command): void {
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
    .option('--overlap <time>', 'how long the secret before still counts', readOverlap, '24h')
    .option(...publicKeys)
    .option('--json', 'for programs')
    .action(rotateClientSecret);
  clients
    .command('disable <id>')
    .description('let a client in no more')
    .option('--json', 'for programs')
    .action(disableClient);
}

type DoctorOptions = { json?: boolean; url?: string };

async function examineGateway({ json, url }: DoctorOptions): Promise<void> {
  const config = loadConfig(process.env);
  const { access_token } = await runCommand(config, 'doctor.ticket');
  const report = await fetchGatewayReport(url ?? config.PUBLIC_URL, access_token);
  print(report, { json }, gatewayReportText);
  if (report.problems.length > 0) process.exitCode = 1;
}

function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('send a request through the gateway, and show what the server made of it')
    .option('--url <url>', 'where users reach the server; PUBLIC_URL when left out')
    .option('--json', 'for programs')
    .action(examineGateway);
}

function print<T>(answer: T, { json }: { json?: boolean | undefined }, render: (answer: T) => string): void {
  process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : render(answer));
}

/** Each adds one command to the program. */
const commands = [addSettings, addMigrate, addKeys, addClients, addDoctor];

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
