import type { Command } from 'commander';
import type { Role } from '../admin/role-rules.ts';
import { loadConfig } from '../config/config.ts';
import { runCommand } from './run-command.ts';
import { print, table } from './table.ts';

type Options = { json?: boolean };
type SetOptions = Options & { scope: string[] | true; description?: string };

async function listRoles(options: Options): Promise<void> {
  print(await runCommand(loadConfig(process.env), 'roles.list'), options, roleTable);
}

async function setRole(name: string, { scope, description, json }: SetOptions): Promise<void> {
  const wish = {
    name,
    scopes: scope === true ? [] : scope,
    ...(description !== undefined && { description }),
  };
  print(await runCommand(loadConfig(process.env), 'roles.set', wish), { json }, (role) => roleTable([role]));
}

async function removeRole(name: string, options: Options): Promise<void> {
  const answer = await runCommand(loadConfig(process.env), 'roles.remove', { name });
  print(answer, options, () => `Removed ${name}. A running server takes it from the users who have it.\n`);
}

function roleTable(roles: Role[]): string {
  const rows = roles.map(({ name, scopes, description }) => [name, scopes.join(','), description]);
  return table(['ROLE', 'SCOPES', 'DESCRIPTION'], rows);
}

/** `doorward roles`. */
export function addRoles(program: Command): void {
  const roles = program.command('roles').description('what users can be, and the scopes that it gives them');
  roles.command('list').description('print the roles').option('--json', 'for programs').action(listRoles);
  roles
    .command('set <name>')
    .description('make a role, or replace its scopes; tokens from before become void')
    .requiredOption('--scope [scope...]', 'scopes of the users with the role; with no name, none')
    .option('--description <text>', 'for people')
    .option('--json', 'for programs')
    .action(setRole);
  roles
    .command('remove <name>')
    .description('remove a role, and take it from all users')
    .option('--json', 'for programs')
    .action(removeRole);
}
