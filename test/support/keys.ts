import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import type { Test } from 'tap';
import { openPostgres } from './adapters.ts';
import { createTestDatabase, moveDatabaseTime } from './database.ts';
import { createReplica, openReplica, type ReplicaOptions } from './key-replica.ts';

export * from './key-replica.ts';

/** An empty database whose time the test can move, and replicas on it that share its key-encryption key. */
export async function openKeys() {
  const opened = await openPostgres();
  const keyEncryptionKey = randomBytes(32);
  const replica = (options: ReplicaOptions = {}) =>
    createReplica(opened.database, opened.transact, { keyEncryptionKey, ...options });
  return { ...opened, keyEncryptionKey, replica };
}

/** The same for replicas with connections of their own, like processes. */
export async function openSeparateKeys(t: Test) {
  const { url } = await createTestDatabase(t);
  const keyEncryptionKey = randomBytes(32);
  /** Directly on the database. */
  const sql = postgres(url, { max: 3, onnotice: () => {} });
  t.teardown(() => sql.end({ timeout: 1 }));
  const replica = (options: ReplicaOptions = {}, at = { url, name: 'replica' }) => {
    const opened = openReplica(at.url, { keyEncryptionKey, ...options }, at.name);
    t.teardown(opened.disconnect);
    return opened;
  };
  return { url, keyEncryptionKey, sql, replica, moveTime: (ms: number) => moveDatabaseTime(sql, ms) };
}
