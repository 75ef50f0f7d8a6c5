import { nothingToClose, type Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { createCodeService } from './code-service.ts';
import { createCodeStore } from './code-store.ts';

/** One-time codes for mails. */
export function openCodes({ config, database, guard }: Platform) {
  const store = guardStore('codes', createCodeStore(database), guard);
  const service = createCodeService({ store, style: config.CODE_STYLE });
  return { service, sweeps: [store.sweep], close: nothingToClose };
}
