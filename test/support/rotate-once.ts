/**
 * A process that a test kills. It reads from stdin what to do, and changes the keys of a database once. Ends with 0 if
 * that succeeded, or failed in an orderly way.
 */
import { once } from 'node:events';
import { AppError } from '../../src/core/errors.ts';
import { kidOf, openReplica } from './key-replica.ts';

const [order] = await once(process.stdin, 'data');
process.stdin.unref?.();
const { url, name, key, isEmergency } = JSON.parse(String(order));
const replica = openReplica(url, { keyEncryptionKey: Buffer.from(key, 'hex') }, name);
const { store, rotator } = replica;
try {
  const ring = await store.list();
  if (isEmergency) await rotator.replaceNow(kidOf(ring, 'active'));
  else await rotator.rotateIfDue(ring);
} catch (error) {
  if (!(error instanceof AppError && error.code === 'unavailable')) throw error;
}
// A process that lost one connection goes on with another.
await store.list();
await replica.disconnect();
process.exit();
