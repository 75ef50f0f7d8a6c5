import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { createOutboxService, type Deliveries } from './outbox-service.ts';
import { createOutboxStore } from './outbox-store.ts';

/** The outbox, which delivers nothing again until it is started. */
export function openOutbox({ database, guard, log }: Platform, deliver: Deliveries) {
  return createOutboxService({
    store: guardStore(createOutboxStore(database), guard),
    deliver,
    onError: (err) => log.warn({ err }, 'could not tell the cache of ended sessions; trying again'),
  });
}
