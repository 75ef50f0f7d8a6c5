import { nothingToClose, type Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { openGuessLimit } from '../passwords/open-guess-limit.ts';
import { createCodeService } from './code-service.ts';
import { createCodeStore } from './code-store.ts';

/** One-time codes for mails. */
export function openCodes(platform: Platform) {
  const { config, database, guard, transact } = platform;
  const store = guardStore('codes', createCodeStore(database), guard);
  const service = createCodeService({
    store,
    style: config.CODE_STYLE,
    guesses: openGuessLimit(platform).service,
    transact,
  });
  return { service, sweeps: [store.sweep], close: nothingToClose };
}
