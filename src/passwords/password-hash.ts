import { randomBytes, randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type ParsedHashOptions, parseOptions } from '@node-rs/argon2';
import { Piscina } from 'piscina';
import { AppError, unavailable } from '../core/errors.ts';
import { hashPassword } from './password-hash-worker.ts';
import { normalizePassword } from './password-policy.ts';

type Tasks = typeof import('./password-hash-worker.ts');

// The package declares these as const enums, which cannot be used in a file whose types are stripped.
const ARGON2ID = 2;
const VERSION_19 = 1;

export const QUEUE_PER_THREAD = 32; // at 10 ms a hash, the last in the queue waits a third of a second
export const NICE_INCREMENT = 10;
/** Of the 50 ms within which whoever is too many has an answer. Not all alike: who came together must not come back so. */
export const REFUSE_AFTER_MS = { least: 25, most: 45 };

/** One for all: it is thrown thousands of times in a flood, and to note where from is what costs most of an error. */
const OVERLOADED = new AppError('overloaded', { retryAfterSeconds: 1 });

export type PasswordHashSettings = {
  memoryKib: number;
  iterations: number;
  /** Lanes of one hash. */
  parallelism?: number;
  /** Hashes at once. One core is left to the event loop by default. */
  threads?: number;
  /** Hashes waiting for a thread. 32 a thread by default. */
  maxQueue?: number;
  /** Told of a worker that failed between two tasks; it is replaced without more ado. */
  onWorkerError?: (error: Error) => void;
};

export type PasswordHasher = ReturnType<typeof createPasswordHasher>;

/**
 * Makes and checks argon2id hashes (RFC 9106) in worker threads of their own, at a lower priority than the event loop, so
 * that a flood of sign-ins cannot slow anything else. At most `threads` hashes run at once and `maxQueue` wait.
 *
 * Blocks for the time of one hash, made for unknown users. Throws when argon2 does not take the settings.
 */
export function createPasswordHasher(settings: PasswordHashSettings) {
  const threads = settings.threads ?? Math.max(1, availableParallelism() - 1);
  const options = {
    algorithm: ARGON2ID,
    version: VERSION_19,
    memoryCost: settings.memoryKib,
    timeCost: settings.iterations,
    parallelism: settings.parallelism ?? 1,
  };
  const unknownUser = hashPassword({ password: randomBytes(32).toString('base64'), options });
  const pool = createPool(threads, settings);

  return {
    /**
     * To be asked before anything else is done for a password that could not be checked anyway. Who is refused waits for
     * it: a client that asks again at once would else keep the event loop busy with nothing but refusals.
     * @throws AppError `overloaded`, after `REFUSE_AFTER_MS`, when the queue is full
     */
    requireRoom: pool.requireRoom,

    /**
     * Answers a PHC string.
     * @throws AppError `overloaded` at once when the queue is full, `unavailable` when a thread fails
     */
    async hash(password: string): Promise<string> {
      return pool.run('hashPassword', { password: normalizePassword(password), options });
    },

    /**
     * Whether the password is the one hashed. With `null`, for an unknown address, it takes as long and answers false.
     * @throws AppError as `hash` does; Error for a stored hash that cannot be read
     */
    async verify(phc: string | null, password: string): Promise<boolean> {
      const stored = phc ?? unknownUser;
      parsePhc(stored);
      const matches = await pool.run('verifyPassword', {
        password: normalizePassword(password),
        phc: stored,
      });
      return matches && phc !== null;
    },

    /**
     * Whether a hash is weaker than one made now; a stronger one stays.
     * @throws Error for a hash that cannot be read
     */
    needsRehash(phc: string): boolean {
      const made = parsePhc(phc);
      return (
        made.algorithm !== ARGON2ID ||
        made.version !== VERSION_19 ||
        made.memoryCost < options.memoryCost ||
        made.timeCost < options.timeCost ||
        made.parallelism < options.parallelism
      );
    },

    /** Lets what was accepted finish, then ends the threads. Later calls throw `unavailable`. */
    close: pool.close,
  };
}

/** Worker threads, and a bound on what may wait for them. */
function createPool(
  threads: number,
  { maxQueue = threads * QUEUE_PER_THREAD, onWorkerError }: PasswordHashSettings,
) {
  const pool = new Piscina({
    filename: new URL('./password-hash-worker.ts', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    // Without the flags of the process: an --import would run in each thread, and some flags fit no thread at all.
    execArgv: [],
    // Piscina would else send a waiting task to the back of the queue each time a thread is done with another.
    stricterFIFO: true,
    recordTiming: false,
    // Only Linux has a priority for each thread; elsewhere the whole process would give way.
    ...(process.platform === 'linux' && { niceIncrement: NICE_INCREMENT }),
  });
  // Without a listener the event would end the process, though nothing was lost.
  pool.on('error', (error: Error) => onWorkerError?.(error));
  const accepted = new Set<Promise<unknown>>();
  let isClosed = false;

  const isFull = () => accepted.size >= threads + maxQueue;

  return {
    async requireRoom(): Promise<void> {
      if (!isFull()) return;
      await delay(randomInt(REFUSE_AFTER_MS.least, REFUSE_AFTER_MS.most));
      throw OVERLOADED;
    },

    async run<Name extends keyof Tasks>(
      name: Name,
      task: Parameters<Tasks[Name]>[0],
    ): Promise<ReturnType<Tasks[Name]>> {
      if (isClosed) throw unavailable(new Error('The password hasher is closed'));
      if (isFull()) throw OVERLOADED;
      const result: Promise<ReturnType<Tasks[Name]>> = pool.run(task, { name });
      accepted.add(result);
      return result.catch(rethrowUnavailable).finally(() => accepted.delete(result));
    },

    // Piscina's own close() ends threads that still work when another falls idle, and takes new tasks afterwards.
    async close(): Promise<void> {
      isClosed = true;
      await Promise.allSettled(accepted);
      await pool.destroy();
    },
  };
}

function rethrowUnavailable(cause: unknown): never {
  throw unavailable(cause);
}

function parsePhc(phc: string): ParsedHashOptions {
  try {
    return parseOptions(phc);
  } catch {
    // Without the cause: whatever it says, it is about a secret.
    throw new Error('A stored password hash is not an argon2 PHC string');
  }
}
