import { nothingToClose, type Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import type { Sweep } from '../db/sweep.ts';
import { createAuditService } from './audit-service.ts';
import { createAuditStore } from './audit-store.ts';

/** The record of what happened. */
export function openAudit({ config, database, guard }: Platform) {
  const store = guardStore('audit', createAuditStore(database), guard);
  const sweep: Sweep = (transaction, limit) => store.sweep(transaction, config.AUDIT_RETENTION, limit);
  return { service: createAuditService(store), sweeps: [sweep], close: nothingToClose };
}
