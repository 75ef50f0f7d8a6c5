import { randomBytes } from 'node:crypto';
import type { Platform } from '../adapters/platform.ts';
import type { Hints } from '../cache/redis-hints.ts';
import { warning } from '../core/log.ts';
import type { Transaction } from '../db/database.ts';
import { guardStore } from '../db/database-guard.ts';
import { createRevocationFeed } from './revocation-feed.ts';
import { createRevocationStore } from './revocation-store.ts';

/** An entry is needed for as long as tokens may live and clocks may differ, and a minute more for slow commits. */
const BEYOND_TOKENS_MS = 120_000;

/** The feed of revocations. Nothing is read until `feed.start()`. */
export function openRevocations(platform: Platform, hints: Hints) {
  const { config, database, guard, clock, log } = platform;
  const windowMs = config.ACCESS_TOKEN_TTL + BEYOND_TOKENS_MS;
  const store = guardStore('revocations', createRevocationStore(database), guard);
  const feed = createRevocationFeed({
    store,
    windowMs,
    // The data folder of an embedded database may be restored, and nothing in it shows that.
    incarnation: config.EMBEDDED ? randomBytes(8).toString('hex') : '',
    now: clock.local,
    announce: hints.announce,
    onError: warning(log, 'could not read what was revoked; trying again'),
  });
  platform.revocations.listen(feed.hurry);
  hints.listen(feed.hear);
  const sweep = (transaction: Transaction, limit: number) => store.sweep(transaction, windowMs, limit);
  return { feed, sweeps: [sweep], close: feed.close };
}
