import type { Platform } from '../adapters/platform.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import { createImportedHashes } from './imported-hash-service.ts';
import { createImportedHashStore } from './imported-hash-store.ts';
import { createSignerKeySeal } from './signer-key-seal.ts';

/** The kinds of hashes that came with imported users. */
export function openImportedHashes({ config, database, guard, transact, keyEncryptionKey, log }: Platform) {
  return createImportedHashes({
    store: guardStore('imported-hashes', createImportedHashStore(database), guard),
    seal: createSignerKeySeal(keyEncryptionKey, config.KEY_ENCRYPTION_KEY_PREVIOUS),
    transact,
    onSealedKey: warning(log, 'the passwords of some imported users cannot be checked'),
  });
}
