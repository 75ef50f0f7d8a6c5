import type { Command } from 'commander';
import type { GrantedRoles } from '../admin/roles-service.ts';
import { loadConfig } from '../config/config.ts';
import { addExport } from './export-cli.ts';
import { addImport } from './import-cli.ts';
import { runCommand } from './run-command.ts';
import { print, table } from './table.ts';
import { addUserActs } from './user-acts-cli.ts';

type Options = { json?: boolean };

async function grantRole(email: string, role: string, options: Options): Promise<void> {
  printRoles(await runCommand(loadConfig(process.env), 'users.grant', { email, role }), options);
}

async function revokeRole(email: string, role: string, options: Options): Promise<void> {
  printRoles(await runCommand(loadConfig(process.env), 'users.revoke-role', { email, role }), options);
}

function printRoles(granted: GrantedRoles, options: Options): void {
  print(granted, options, ({ id, email, roles }) =>
    table(['USER', 'ADDRESS', 'ROLES'], [[id, email, roles.join(',')]]),
  );
}

/** `doorward users`. */
export function addUsers(program: Command): void {
  const users = program.command('users').description('the accounts of users');
  addUserActs(users);
  users
    .command('grant <user> <role>')
    .description('give a user, by address or id, a role; `admin` lets them do everything under /admin')
    .option('--json', 'for programs')
    .action(grantRole);
  users
    .command('revoke-role <user> <role>')
    .description('take a role from a user; their tokens from before are void')
    .option('--json', 'for programs')
    .action(revokeRole);
  addImport(users);
  addExport(users);
}
