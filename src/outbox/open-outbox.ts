import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { createOutboxCommands } from './outbox-commands.ts';
import { createOutboxService, type OutboxService } from './outbox-service.ts';
import { createOutboxStore } from './outbox-store.ts';

/** The outbox. Its lanes are opened by the features above; nothing runs until `service.start()`. */
export function openOutbox(platform: Platform) {
  const service = createOutboxService(partsOf(platform));
  return { service, sweeps: [], close: service.close };
}

/** The outbox of a command, whose process ends with it: what nobody waits for is left to the servers. */
export function openCommandOutbox(platform: Platform): OutboxService {
  return createOutboxService({ ...partsOf(platform), onlyWrites: true });
}

function partsOf({ database, guard, log }: Platform) {
  return {
    store: guardStore('outbox', createOutboxStore(database), guard),
    log,
    databaseDeadlineMs: guard.deadlineMs,
  };
}

/** What operators can do with messages that could not be delivered. */
export function openOutboxCommands({ database, guard, transact }: Platform) {
  return createOutboxCommands({ store: guardStore('outbox', createOutboxStore(database), guard), transact });
}
