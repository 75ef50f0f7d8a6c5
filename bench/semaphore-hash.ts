import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { hash, hashSync, verify } from '@node-rs/argon2';
import { AppError } from '../src/core/errors.ts';
import {
  type PasswordHashSettings,
  QUEUE_PER_THREAD,
  REFUSE_AFTER_MS,
} from '../src/passwords/password-hash.ts';

/**
 * What the product would do without threads of its own: the same number of hashes at once and the same queue, in Node's
 * thread pool, at normal priority. Only for comparison.
 */
export function createPasswordHasher({ memoryKib, iterations, threads = 1 }: PasswordHashSettings) {
  const options = { memoryCost: memoryKib, timeCost: iterations, parallelism: 1 };
  const unknownUser = hashSync(randomBytes(32), options);
  const waiting: (() => void)[] = [];
  let running = 0;

  const isFull = () => waiting.length >= threads * QUEUE_PER_THREAD;
  const overloaded = new AppError('overloaded', { retryAfterSeconds: 1 });

  async function run<T>(work: () => Promise<T>): Promise<T> {
    if (isFull()) throw overloaded;
    if (running >= threads) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return {
    requireRoom: async () => {
      if (!isFull()) return;
      await delay(randomInt(REFUSE_AFTER_MS.least, REFUSE_AFTER_MS.most));
      throw overloaded;
    },
    hash: (password: string) => run(() => hash(password, options)),
    verify: async (phc: string | null, password: string) =>
      (await run(() => verify(phc ?? unknownUser, password))) && phc !== null,
    needsRehash: () => false,
    close: async () => {},
  };
}
