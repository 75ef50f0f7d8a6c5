import { randomBytes, randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { channels, tell } from '../core/channels.ts';
import { AppError, unavailable } from '../core/errors.ts';
import { isPossible } from './hash-bounds.ts';
import { hashPassword } from './password-hash-worker.ts';
import { normalizePassword } from './password-policy.ts';
import {
  makeDecoy,
  readStoredHash,
  readStrength,
  type SignerKey,
  type StoredHash,
  type Strength,
} from './stored-hash.ts';
import type { SignerKeys } from './verify-stored-hash.ts';

type Tasks = typeof import('./password-hash-worker.ts');

// The package declares these as const enums, which cannot be used in a file whose types are stripped.
const ARGON2ID = 2;
const VERSION_19 = 1;

export const QUEUE_PER_THREAD = 32; // at 10 ms a hash, the last in the queue waits a third of a second
export const NICE_INCREMENT = 10;
/** A refusal is answered within 50 ms. The time is random: clients that came together must not come back together. */
export const REFUSE_AFTER_MS = { least: 25, most: 45 };

/** One error for all: a flood throws it thousands of times, and the stack trace is what costs most of an error. */
const OVERLOADED = new AppError('overloaded', { retryAfterSeconds: 1 });

export type PasswordHashSettings = {
  memoryKib: number;
  iterations: number;
  /** Lanes of one hash. */
  parallelism?: number;
  /** Hashes at the same time. By default one core is left to the event loop. */
  threads?: number;
  /** Hashes waiting for a thread. 32 a thread by default. */
  maxQueue?: number;
  /** Called when a worker failed between two tasks; it has been replaced. */
  onWorkerError?: (error: Error) => void;
};

/** A strength of imported hashes, and the key that the origin mixed into them, if it did. */
export type KnownStrength = { strength: string; key: SignerKey | null };

/** Hashes under way, and those that wait for a thread. */
export type HashQueue = { running: number; queued: number };

export type PasswordHasher = ReturnType<typeof createPasswordHasher>;

/**
 * Makes argon2id hashes (RFC 9106), and checks them and those that came with imported users, in worker threads of their own, at a lower priority than the event loop,
 * so that a flood of sign-ins cannot slow anything else. At most `threads` hashes run at once and `maxQueue` wait.
 *
 * Every check costs the same work: one hash of each strength that this process has met, so that the time does not tell
 * an old or an imported account from a new one or from an unknown address. The strengths of imported hashes are learned
 * before; what remains is that the first check of a hash of ours of another strength, after a start, takes longer than
 * those before it.
 *
 * Blocks for the time of one hash. Throws if argon2 refuses the settings.
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
  const decoys = createDecoys();
  decoys.with(read(hashPassword({ password: randomBytes(32).toString('base64'), options })));
  const pool = createPool(threads, settings);

  return {
    /**
     * Call this before any other work on a password, which may be in vain. A refusal takes some time: otherwise clients
     * that try again at once would keep the event loop busy with refusals alone.
     * @throws AppError `overloaded`, after `REFUSE_AFTER_MS`, when the queue is full
     */
    requireRoom: pool.requireRoom,

    /**
     * Returns a PHC string.
     * @throws AppError `overloaded` at once when the queue is full, `unavailable` when a thread fails
     */
    async hash(password: string): Promise<string> {
      return pool.run('hashPassword', { password: normalizePassword(password), options });
    },

    /**
     * Whether the password matches the hash. With `null`, for an unknown address, it takes as long as with a hash that
     * does not match, whatever the strength of that hash, and returns false. Hashes of ours are of several forms of the
     * password; how it was typed decides which are tried, so it tells nothing about an account.
     * @throws AppError as `hash` does, and `unavailable` for a hash whose signer key is not here (yet); Error for a stored
     *   hash that cannot be read
     */
    async verify(stored: string | null, password: string): Promise<boolean> {
      const hashes = stored === null ? decoys.all() : decoys.with(read(stored));
      return pool.run('verifyPassword', { password, hashes, keys: decoys.keys() });
    },

    /** Whether a hash can only be checked once `learn` was told its key. @throws Error for a hash that cannot be read */
    lacksKey: (stored: string): boolean => decoys.lackKey(read(stored)),

    /** From now on every check costs a hash of each of these strengths as well. */
    learn(strengths: KnownStrength[]): void {
      for (const strength of strengths) decoys.learn(strength);
    },

    /**
     * Whether a hash is weaker than one made now, or of another kind; a stronger one stays.
     * @throws Error for a hash that cannot be read
     */
    needsRehash(stored: string): boolean {
      const { scheme, text, parameters } = read(stored);
      if (scheme !== 'argon2' || !text.startsWith('$argon2id$v=19$')) return true;
      const [memoryKib, iterations, lanes] = parameters.map(Number);
      return (
        Number(memoryKib) < options.memoryCost ||
        Number(iterations) < options.timeCost ||
        Number(lanes) < options.parallelism
      );
    },

    /** How much work there is at this moment. */
    queue: pool.state,

    /** Waits for the accepted tasks, then ends the threads. Later calls throw `unavailable`. */
    close: pool.close,
  };
}

/** For each strength that was met or learned: a hash that no password fits. */
function createDecoys() {
  const byStrength = new Map<string, string>();
  const keys: SignerKeys = {};
  const lackKey = ({ scheme, text }: Strength) => scheme === 'fbscrypt' && keys[text] === undefined;

  return {
    lackKey,

    all: () => [...byStrength.values()],

    /** All, with the given hash in place of the one of its strength: the same work in the same order. */
    with({ stored, ...strength }: StoredHash): string[] {
      if (lackKey(strength))
        throw unavailable(new Error('The signer key of an imported password hash is not known here'));
      if (!byStrength.has(strength.text)) byStrength.set(strength.text, makeDecoy(strength, randomBytes));
      return [...byStrength].map(([own, decoy]) => (own === strength.text ? stored : decoy));
    },

    keys: () => keys,

    learn({ strength, key }: KnownStrength): void {
      const known = readStrength(strength);
      if (known === null || !isPossible(known) || byStrength.has(strength)) return;
      byStrength.set(strength, makeDecoy(known, randomBytes));
      if (key !== null) keys[strength] = inBase64(key);
    },
  };
}

function inBase64({ signerKey, saltSeparator }: SignerKey): SignerKeys[string] {
  return { signerKey: signerKey.toString('base64'), saltSeparator: saltSeparator.toString('base64') };
}

/** Worker threads, with a limit on the tasks that may wait for them. */
function createPool(
  threads: number,
  { maxQueue = threads * QUEUE_PER_THREAD, onWorkerError }: PasswordHashSettings,
) {
  const pool = new Piscina({
    filename: new URL('./password-hash-worker.ts', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    // Without the flags of the process: an --import would run in each thread, and some flags are not allowed in
    // threads.
    execArgv: [],
    // Otherwise Piscina sends a waiting task to the back of the queue each time a thread finishes another.
    stricterFIFO: true,
    recordTiming: false,
    // Only Linux has a priority for each thread; elsewhere the whole process would get the lower one.
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
      throw refusal();
    },

    async run<Name extends keyof Tasks>(
      name: Name,
      task: Parameters<Tasks[Name]>[0],
    ): Promise<ReturnType<Tasks[Name]>> {
      if (isClosed) throw unavailable(new Error('The password hasher is closed'));
      if (isFull()) throw refusal();
      const startedAt = performance.now();
      const result: Promise<ReturnType<Tasks[Name]>> = pool.run(task, { name });
      accepted.add(result);
      return result.catch(rethrowUnavailable).finally(() => {
        accepted.delete(result);
        tell(channels.passwordHash, { durationMs: performance.now() - startedAt });
      });
    },

    state(): HashQueue {
      const running = Math.min(accepted.size, threads);
      return { running, queued: accepted.size - running };
    },

    // Piscina's own close() ends threads that are still busy when another becomes idle, and accepts new tasks
    // afterwards.
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

function refusal(): AppError {
  tell(channels.passwordRefused, {});
  return OVERLOADED;
}

function read(stored: string): StoredHash {
  const known = readStoredHash(stored);
  if (known === null || !isPossible(known)) throw new Error('A stored password hash cannot be read');
  return known;
}
