import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { UserPage } from '../admin/user-list-service.ts';
import type { AdminUser } from '../admin/user-listing.ts';
import { loadConfig } from '../config/config.ts';
import { CommandLineError } from './command-line-error.ts';
import { runCommand } from './run-command.ts';
import { aligned, print, say, table } from './table.ts';
import { visible, visibleJson } from './visible.ts';

type Json = { json?: boolean | undefined };

type ListOptions = Json & {
  status?: 'active' | 'banned';
  role?: string;
  verified?: boolean;
  createdAfter?: string;
  createdBefore?: string;
  limit: number;
  after?: string;
};

/** What is given of what an account is. */
type AccountOptions = Json & {
  email?: string;
  emailVerified?: boolean;
  name?: string;
  locale?: string;
  metadata?: Record<string, unknown>;
  role?: string[] | true;
};

type CreateOptions = AccountOptions & { passwordStdin?: boolean; invite?: boolean };
type BanOptions = Json & { reason?: string; until?: string };

async function listUsers(
  search: string | undefined,
  { json, role, verified, status, limit, ...rest }: ListOptions,
): Promise<void> {
  const wish = { limit, search, role, status, verified, ...rest };
  const page = await runCommand(loadConfig(process.env), 'users.list', wish);
  process.stdout.write(json ? linesOf(page) : userTable(page.users));
  if (page.next !== null) say(`There are more: go on with --after ${page.next}`);
}

/** NDJSON: one user a line. */
function linesOf({ users }: UserPage): string {
  return users.map((user) => `${visibleJson(user)}\n`).join('');
}

async function showUser(user: string, options: Json): Promise<void> {
  printUser(await runCommand(loadConfig(process.env), 'users.show', { user }), options);
}

async function createUser(
  email: string,
  { passwordStdin, invite = false, ...options }: CreateOptions,
): Promise<void> {
  const password = passwordStdin ? { password: readPassword() } : {};
  const wish = { ...wishOf(options), email, invite, ...password };
  printUser(await runCommand(loadConfig(process.env), 'users.create', wish), options);
}

async function changeUser(user: string, options: AccountOptions): Promise<void> {
  const wish = wishOf(options);
  if (Object.keys(wish).length === 0)
    throw new CommandLineError(
      'There is nothing to change: `doorward users change --help` says what there is.',
    );
  printUser(await runCommand(loadConfig(process.env), 'users.change', { user, ...wish }), options);
}

/** An empty name or locale takes it away. */
function wishOf({ email, emailVerified, name, locale, metadata, role }: AccountOptions) {
  return {
    ...(email !== undefined && { email }),
    ...(emailVerified !== undefined && { email_verified: emailVerified }),
    ...(name !== undefined && { display_name: name || null }),
    ...(locale !== undefined && { locale: locale || null }),
    ...(metadata !== undefined && { metadata }),
    ...(role !== undefined && { roles: role === true ? [] : role }),
  };
}

async function banUser(user: string, { reason, until, json }: BanOptions): Promise<void> {
  const wish = {
    user,
    ...(reason !== undefined && { reason }),
    ...(until !== undefined && { until }),
  };
  printUser(await runCommand(loadConfig(process.env), 'users.ban', wish), { json });
}

async function unbanUser(user: string, options: Json): Promise<void> {
  printUser(await runCommand(loadConfig(process.env), 'users.unban', { user }), options);
}

async function forceReset(user: string, options: Json): Promise<void> {
  printUser(await runCommand(loadConfig(process.env), 'users.force-reset', { user }), options);
}

async function endSessions(user: string, options: Json): Promise<void> {
  const answer = await runCommand(loadConfig(process.env), 'users.end-sessions', { user });
  print(answer, options, ({ ended }) => `Sessions that were ended: ${ended}\n`);
}

async function deleteUser(user: string, { yes = false, json }: Json & { yes?: boolean }): Promise<void> {
  // No operator must do by mistake what cannot be undone.
  if (!yes) throw new CommandLineError('Say --yes: this deletes the account for good.');
  const deleted = await runCommand(loadConfig(process.env), 'users.delete', { user });
  print(deleted, { json }, ({ email }) => `Deleted: ${visible(email)}\n`);
}

/** The first line. A password on the command line would be seen by all users of the machine. */
function readPassword(): string {
  const [line = ''] = readFileSync(process.stdin.fd, 'utf8').split(/\r?\n/);
  if (line === '')
    throw new CommandLineError('--password-stdin: there is no password on the standard input.');
  return line;
}

function readMetadata(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {}
  throw new InvalidArgumentError('Expected an object in JSON.');
}

function readLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MOST_LISTED) return limit;
  throw new InvalidArgumentError(`Expected a number from 1 to ${MOST_LISTED}.`);
}

const MOST_LISTED = 1_000;

function userTable(users: AdminUser[]): string {
  const rows = users.map(({ id, email, status, email_verified, roles, created_at }) => [
    ...[id, email, status, email_verified ? 'yes' : 'no', roles.join(','), created_at],
  ]);
  return table(['USER', 'ADDRESS', 'STATUS', 'VERIFIED', 'ROLES', 'CREATED'], rows);
}

function printUser(user: AdminUser, options: Json): void {
  print(user, options, () => aligned(Object.entries(user).map(([name, value]) => [name, cellOf(value)])));
}

function cellOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '');
}

/** The commands of `doorward users` for what operators do to accounts. */
export function addUserActs(users: Command): void {
  addReading(users);
  addMaking(users);
  const json = ['--json', 'for programs'] as const;
  users
    .command('ban <user>')
    .description('ban a user, by address or id: all their sessions end, and they cannot sign in')
    .option('--reason <text>', 'for operators; the user is not told')
    .option('--until <instant>', 'when it ends by itself, such as 2030-01-31T12:00:00Z')
    .option(...json)
    .action(banUser);
  users
    .command('unban <user>')
    .description('end a ban')
    .option(...json)
    .action(unbanUser);
  users
    .command('force-reset <user>')
    .description('take the password away, end all sessions, and send a code to set another password')
    .option(...json)
    .action(forceReset);
  users
    .command('end-sessions <user>')
    .description('end all sessions of a user, who must sign in again')
    .option(...json)
    .action(endSessions);
  users
    .command('delete <user>')
    .description('delete an account and all that belongs to it, at once and for good')
    .option('--yes', 'that is meant')
    .option(...json)
    .action(deleteUser);
}

function addReading(users: Command): void {
  users
    .command('list [search]')
    .description('print users, the newest first; of a search, those whose address or name begins with it')
    .option('--status <status>', 'active or banned', readStatus)
    .option('--role <name>', 'those who have the role')
    .option('--verified', 'those whose address is verified')
    .option('--no-verified', 'those whose address is not')
    .option('--created-after <instant>', 'accounts from then on')
    .option('--created-before <instant>', 'accounts from before then')
    .option('--limit <number>', `how many at most, up to ${MOST_LISTED}`, readLimit, 50)
    .option('--after <cursor>', 'where an earlier list goes on')
    .option('--json', 'for programs: one user a line')
    .action(listUsers);
  users
    .command('show <user>')
    .description('print a user, by address or id')
    .option('--json', 'for programs')
    .action(showUser);
}

function readStatus(text: string): 'active' | 'banned' {
  if (text === 'active' || text === 'banned') return text;
  throw new InvalidArgumentError('Expected active or banned.');
}

function addMaking(users: Command): void {
  const create = users.command('create <address>').description('make an account');
  withAccount(create)
    .option('--password-stdin', 'read the password from the standard input; otherwise there is none')
    .option('--invite', 'send a mail with a code to set the password')
    .action(createUser);
  const change = users.command('change <user>').description('change what is given, by address or id');
  withAccount(change)
    .option('--email <address>', 'another address; the former one is told')
    .action(changeUser);
}

function withAccount(command: Command): Command {
  return command
    .option('--email-verified', 'the address is known to be theirs')
    .option('--no-email-verified', 'it is not')
    .option('--name <name>', 'what they are called; empty: nothing')
    .option('--locale <tag>', 'their language, such as de; empty: none')
    .option('--metadata <json>', 'what the app keeps on its user, merged into what is there', readMetadata)
    .option('--role [name...]', 'their roles, in place of those of before; with no name, none')
    .option('--json', 'for programs');
}
