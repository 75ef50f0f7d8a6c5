import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { createOutboxCommands } from './outbox-commands.ts';
import { createOutboxService } from './outbox-service.ts';
import { createOutboxStore } from './outbox-store.ts';

/** The outbox. Its lanes are opened by the features above; nothing runs until `service.start()`. */
export function openOutbox({ database, guard, log }: Platform) {
  const service = createOutboxService({
    store: guardStore('outbox', createOutboxStore(database), guard),
    log,
    databaseDeadlineMs: guard.deadlineMs,
  });
  return { service, sweeps: [], close: service.close };
}

/** What operators can do with messages that could not be delivered. */
export function openOutboxCommands({ database, guard }: Platform) {
  return createOutboxCommands(guardStore('outbox', createOutboxStore(database), guard));
}
