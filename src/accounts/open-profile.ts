import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';
import type { AccountFeatures } from './account-features.ts';
import type { AccountStore } from './account-store.ts';
import { createDeletionService } from './deletion-service.ts';
import { createDeletionStore } from './deletion-store.ts';
import { createExportService } from './export-service.ts';
import { createExportStore } from './export-store.ts';
import type { OwnerCheck } from './owner-check.ts';
import { createProfileService } from './profile-service.ts';
import { createProfileStore } from './profile-store.ts';

/** What the parts of this room share. */
type Shared = { accounts: AccountStore; ownerCheck: OwnerCheck; guesses: GuessLimit };

/** What users see of their account, change of it, take with them, and how it ends. */
export function openProfile(
  { config, guard, transact, clock }: Platform,
  { sessions, history, audit, mail, codes }: AccountFeatures,
  { accounts, ownerCheck, guesses }: Shared,
) {
  const profiles = createProfileService({
    store: guardStore('profiles', createProfileStore(), guard),
    ...{ accounts, audit, transact },
  });
  const deletions = createDeletionService({
    store: guardStore('deletions', createDeletionStore(), guard),
    ...{ ownerCheck, sessions, codes, audit, mail, transact },
    delayMs: config.ACCOUNT_DELETION_DELAY,
  });
  const exports = createExportService({
    store: guardStore('exports', createExportStore(), guard),
    ...{ history, codes, audit, transact, clock },
    limit: guesses,
  });
  return { profiles, deletions, exports, sweeps: [deletions.sweep] };
}
