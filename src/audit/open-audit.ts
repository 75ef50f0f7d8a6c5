import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import type { Sweep } from '../db/sweep.ts';
import { createAuditService } from './audit-service.ts';
import { createAuditStore } from './audit-store.ts';
import { createBackgroundEvents } from './background-events.ts';

/** The record of what happened. */
export function openAudit({ config, database, guard, transact, clock, log }: Platform) {
  const store = guardStore('audit', createAuditStore(database), guard);
  const background = createBackgroundEvents({
    write: (events) => transact((transaction) => service.recordNoted(transaction, events)),
    onLost: (count, err) => log.warn({ err, count }, 'failed sign-ins were not written to the audit'),
    now: clock.local,
  });
  const service = createAuditService(store, background, clock.now);
  const sweep: Sweep = (transaction, limit) => store.sweep(transaction, config.AUDIT_RETENTION, limit);
  return { service, sweeps: [sweep], close: background.close };
}
