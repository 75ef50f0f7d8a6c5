import { v7 as uuidv7 } from 'uuid';
import type { Clock } from '../core/clock.ts';

/**
 * Makes the ids of events (RFC 9562 §5.7), each greater than the one before. Whoever follows the events goes by their ids, so
 * these have the time of the database: the clocks of replicas may differ by two minutes.
 * @param now by the database's clock, milliseconds since the epoch
 */
export function createEventIds(now: Clock): () => string {
  let [msecs, seq] = [0, 0];
  return () => {
    msecs = Math.max(msecs, now());
    seq += 1;
    return uuidv7({ msecs, seq });
  };
}
