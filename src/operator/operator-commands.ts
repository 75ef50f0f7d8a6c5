import type { Adapters } from '../adapters/adapters.ts';
import type { BackupReceipt } from '../adapters/backup-file.ts';
import type { Platform } from '../adapters/platform.ts';
import type { Admin } from '../admin/open-admin.ts';
import type { RoleWish } from '../admin/role-rules.ts';
import { OPERATOR } from '../audit/audit-event.ts';
import { createDoctorCommand, DOCTOR_CLIENT_ID } from '../gateway/doctor-command.ts';
import type { openKeys } from '../keys/open-keys.ts';
import { openClientCommands } from '../oauth/open-oauth.ts';
import { openOutboxCommands } from '../outbox/open-outbox.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { CommandLineError } from './command-line-error.ts';

/** The commands of operators, by name. */
export type OperatorCommands = ReturnType<typeof createOperatorCommands>;

type OperatorCommandParts = {
  adapters: Adapters;
  sessions: SessionService;
  keys: ReturnType<typeof openKeys>;
  /** Makes the server that runs the command use a change of the keys at once. */
  afterKeyChange(): Promise<void>;
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
  { adapters, sessions, keys, afterKeyChange, prepareKeys, admin }: OperatorCommandParts,
) {
  const { config, clock } = platform;
  const signing = keys.commands(afterKeyChange);
  const clients = openClientCommands(platform, [DOCTOR_CLIENT_ID]);
  const outbox = openOutboxCommands(platform);
  const issuer = config.PUBLIC_URL;
  const doctor = createDoctorCommand({ keys: keys.service, prepareKeys, issuer, now: clock.now });
  return {
    'keys.list': signing.list,
    'keys.rotate': signing.rotate,
    'keys.rewrap': signing.rewrap,
    'clients.list': clients.list,
    'clients.add': clients.add,
    'clients.update': clients.update,
    'clients.rotate-secret': clients.rotateSecret,
    'clients.disable': clients.disable,
    'clients.enable': clients.enable,
    'outbox.list': outbox.list,
    'outbox.retry': outbox.retry,
    'outbox.drop': outbox.drop,
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
    'users.show': async ({ id }: { id: string }) => (await admin()).users.get(id),
    'sessions.end-all': async () => ({ ended: await sessions.endAll() }),
    'migrations.last': async () => ({ last: await adapters.lastMigration() }),
    'backup.write': ({ file }: { file: string }) => writeBackup(adapters, file),
  };
}

async function writeBackup({ backup, location }: Adapters, file: string): Promise<BackupReceipt> {
  if (backup !== null) return backup(file);
  throw new CommandLineError(
    `The data is in ${location}: back it up with the tools of PostgreSQL, see docs/backups.md`,
  );
}
