import { nothingToClose, type Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { createGuessLimit } from './guess-limit.ts';
import { createGuessStore } from './guess-store.ts';

/** The count of guesses. */
export function openGuessLimit({ database, guard }: Platform) {
  const store = guardStore('guesses', createGuessStore(database), guard);
  return { service: createGuessLimit(store), sweeps: [store.sweep], close: nothingToClose };
}
