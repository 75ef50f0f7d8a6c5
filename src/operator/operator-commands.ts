import type { Platform } from '../adapters/platform.ts';
import { createDoctorCommand, DOCTOR_CLIENT_ID } from '../gateway/doctor-command.ts';
import type { openKeys } from '../keys/open-keys.ts';
import { openClientCommands } from '../oauth/open-oauth.ts';
import { openOutboxCommands } from '../outbox/open-outbox.ts';

/** The commands of operators, by name. */
export type OperatorCommands = ReturnType<typeof createOperatorCommands>;

type OperatorCommandParts = {
  keys: ReturnType<typeof openKeys>;
  /** Makes the server that runs the command use a change of the keys at once. */
  afterKeyChange(): Promise<void>;
  /** Makes the keys ready to sign, if nothing else does that. */
  prepareKeys(): Promise<unknown>;
};

/** All commands, for a server or for a process of their own. Plain JSON in, plain JSON out. */
export function createOperatorCommands(
  platform: Platform,
  { keys, afterKeyChange, prepareKeys }: OperatorCommandParts,
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
    'clients.rotate-secret': clients.rotateSecret,
    'clients.disable': clients.disable,
    'outbox.list': outbox.list,
    'outbox.retry': outbox.retry,
    'outbox.drop': outbox.drop,
    'doctor.ticket': doctor.ticket,
  };
}
