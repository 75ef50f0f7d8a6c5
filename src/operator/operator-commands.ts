import type { Adapters } from '../adapters/adapters.ts';
import type { BackupReceipt } from '../adapters/backup-file.ts';
import type { Platform } from '../adapters/platform.ts';
import type { Admin } from '../admin/open-admin.ts';
import type { Operations } from '../admin/open-operations.ts';
import type { RoleWish } from '../admin/role-rules.ts';
import { createUserCommands } from '../admin/users-commands.ts';
import { type Actor, OPERATOR } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { createDoctorCommand } from '../gateway/doctor-command.ts';
import type { ExportBatch, ImportBatch } from '../imports/imported-user.ts';
import type { openKeys } from '../keys/open-keys.ts';
import { openImportedHashes } from '../passwords/open-imported-hashes.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { CommandLineError } from './command-line-error.ts';

/** The commands of operators, by name. */
export type OperatorCommands = ReturnType<typeof createOperatorCommands>;

type OperatorCommandParts = {
  adapters: Adapters;
  audit: AuditService;
  sessions: SessionService;
  keys: ReturnType<typeof openKeys>;
  operations: Operations;
  /** Makes the keys ready to sign, if nothing else does that. */
  prepareKeys(): Promise<unknown>;
  /** Opened by the first command that needs it: it loads much. */
  admin(): Promise<Admin>;
};

/** A user by address, and the name of a role. */
type RoleGrant = { email: string; role: string };

/** All commands, for a server or for a process of their own. Plain JSON in, plain JSON out. */
export function createOperatorCommands(
  platform: Platform,
  { adapters, audit, sessions, keys, operations, prepareKeys, admin }: OperatorCommandParts,
) {
  const { config, clock } = platform;
  const { clients, outbox, keys: signing } = operations;
  const hashes = openImportedHashes(platform);
  const issuer = config.PUBLIC_URL;
  const doctor = createDoctorCommand({ keys: keys.service, prepareKeys, issuer, now: clock.now });
  /** Loaded by the first command that needs it. */
  const imports = async () => (await import('../imports/open-imports.ts')).openImports(platform, audit);
  return {
    'keys.list': signing.list,
    'keys.rotate': byOperator(signing.rotate),
    'keys.rewrap': async () => [...(await signing.rewrap()), ...(await hashes.rewrap())],
    'clients.list': () => clients.list(),
    'clients.add': byOperator(clients.add),
    'clients.update': byOperator(clients.update),
    'clients.rotate-secret': byOperator(clients.rotateSecret),
    'clients.disable': byOperator(clients.disable),
    'clients.enable': byOperator(clients.enable),
    'outbox.list': outbox.list,
    'outbox.retry': byOperator(outbox.retry),
    'outbox.drop': byOperator(outbox.drop),
    'doctor.ticket': doctor.ticket,
    'roles.list': async () => (await admin()).roles.list(),
    'roles.set': async (wish: RoleWish) => (await admin()).roles.put(wish, OPERATOR),
    'roles.remove': async ({ name }: { name: string }) => {
      await (await admin()).roles.remove(name, OPERATOR);
      return { removed: name };
    },
    'users.grant': async ({ email, role }: RoleGrant) => (await admin()).roles.grant(email, role, OPERATOR),
    'users.revoke-role': async ({ email, role }: RoleGrant) =>
      (await admin()).roles.revoke(email, role, OPERATOR),
    'audit.list': audit.list,
    'users.import-batch': async (batch: ImportBatch) => (await imports()).importBatch(batch, OPERATOR),
    'users.export-batch': async (batch: ExportBatch) => (await imports()).exportBatch(batch, OPERATOR),
    ...createUserCommands(admin),
    'sessions.end-all': async () => ({ ended: await sessions.endAll() }),
    'migrations.last': async () => ({ last: await adapters.lastMigration() }),
    'backup.write': ({ file }: { file: string }) => writeBackup(adapters, file),
  };
}

/** An act as whoever runs a command on the machine does it. */
function byOperator<Wish, Answer>(act: (wish: Wish, actor: Actor) => Promise<Answer>) {
  return (wish: Wish): Promise<Answer> => act(wish, OPERATOR);
}

async function writeBackup({ backup, location }: Adapters, file: string): Promise<BackupReceipt> {
  if (backup !== null) return backup(file);
  throw new CommandLineError(
    `The data is in ${location}: back it up with the tools of PostgreSQL, see docs/backups.md`,
  );
}
