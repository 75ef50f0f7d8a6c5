import type { Adapters } from './adapters/adapters.ts';
import { createTransact, type DatabaseGuard, deadlineGuard, guardStore } from './adapters/database-guard.ts';
import { createDoctorCommand, DOCTOR_CLIENT_ID } from './admin/doctor-command.ts';
import { createClientCommands } from './clients/client-commands.ts';
import { createClientStore } from './clients/client-store.ts';
import type { Config } from './config.ts';
import type { Clock } from './core/clock.ts';
import type { KeyCommands } from './keys/key-commands.ts';
import type { KeyService } from './keys/key-service.ts';

/** What operators can ask for, by name. */
export type OperatorCommands = ReturnType<typeof createOperatorCommands>;

type OperatorCommandParts = {
  config: Config;
  adapters: Adapters;
  now: Clock;
  keys: KeyService;
  keyCommands: KeyCommands;
  /** Makes the keys ready to sign, where nothing else does. */
  prepareKeys(): Promise<unknown>;
  guard?: DatabaseGuard;
};

/** All commands, for a server to run in itself or for a process of their own. Plain JSON in, plain JSON out. */
export function createOperatorCommands(parts: OperatorCommandParts) {
  const { config, adapters, now, keys, keyCommands, prepareKeys, guard = deadlineGuard() } = parts;
  const issuer = config.PUBLIC_URL;
  const clients = createClientCommands({
    store: guardStore(createClientStore(adapters.database), guard),
    transact: createTransact(adapters.database, guard),
    audiences: [...config.AUDIENCES, issuer],
    reservedIds: [config.CLIENT_ID, DOCTOR_CLIENT_ID],
  });
  const doctor = createDoctorCommand({ keys, prepareKeys, issuer, now });
  return {
    'keys.list': keyCommands.list,
    'keys.rotate': keyCommands.rotate,
    'keys.rewrap': keyCommands.rewrap,
    'clients.list': clients.list,
    'clients.add': clients.add,
    'clients.rotate-secret': clients.rotateSecret,
    'clients.disable': clients.disable,
    'doctor.ticket': doctor.ticket,
  };
}
