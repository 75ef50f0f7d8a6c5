import { nothingToClose, type Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { createAuditService } from './audit-service.ts';
import { createAuditStore } from './audit-store.ts';

/** The record of what happened. */
export function openAudit({ database, guard }: Platform) {
  const service = createAuditService(guardStore('audit', createAuditStore(database), guard));
  return { service, sweeps: [], close: nothingToClose };
}
