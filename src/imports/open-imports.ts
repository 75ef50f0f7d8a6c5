import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { guardStore } from '../db/database-guard.ts';
import { openImportedHashes } from '../passwords/open-imported-hashes.ts';
import { createImportService } from './import-service.ts';
import { createImportStore } from './import-store.ts';

/** Users from elsewhere. Only commands on the machine bring them in. */
export function openImports(platform: Platform, audit: AuditService) {
  const { guard, transact, clock } = platform;
  return createImportService({
    store: guardStore('imports', createImportStore(), guard),
    hashes: openImportedHashes(platform),
    ...{ audit, transact, clock },
  });
}
