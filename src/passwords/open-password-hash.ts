import type { Platform } from '../adapters/platform.ts';
import { warning } from '../core/log.ts';
import { repeat } from '../core/repeat.ts';
import { openImportedHashes } from './open-imported-hashes.ts';
import { createPasswordHasher } from './password-hash.ts';

/** Until a replica knows of hashes that another one, or a command, has imported. */
const LEARN_EVERY_MS = 30_000;

/** The threads that hash passwords, and check those that were imported. Call `start` before the first check. */
export function openPasswordHash(platform: Platform) {
  const { config, log } = platform;
  const hasher = createPasswordHasher({
    memoryKib: config.PASSWORD_HASH_MEMORY_KIB,
    iterations: config.PASSWORD_HASH_ITERATIONS,
    threads: config.PASSWORD_HASH_THREADS,
    onWorkerError: warning(log, 'a password hashing thread failed and was replaced'),
  });
  const imported = openImportedHashes(platform);
  const learn = async () => hasher.learn(await imported.list());
  const learning = repeat(
    learn,
    LEARN_EVERY_MS,
    warning(log, 'could not read which password hashes were imported: trying again in half a minute'),
  );
  return {
    hasher: {
      ...hasher,
      /** The first users of a Firebase project may come before the next look. */
      async verify(stored: string | null, password: string): Promise<boolean> {
        if (stored !== null && hasher.lacksKey(stored)) await learn();
        return hasher.verify(stored, password);
      },
    },
    /**
     * Reads which kinds of hashes were imported: an unknown address must cost what they cost from the first sign-in on.
     * @throws AppError `unavailable`
     */
    start: learn,
    async close(): Promise<void> {
      await learning.close();
      await hasher.close();
    },
  };
}
