import { type Command, Redis, type RedisOptions } from 'ioredis';

/** How long a request waits for Redis before it goes on without it. */
export const COMMAND_TIMEOUT_MS = 100;

/**
 * A client that writes all commands of one turn of the event loop at once, and limits their wait with one timer.
 *
 * With many requests at a time, the system call for each command, which also wakes Redis, is most of the cost of a
 * `GET` in this process (bench/README.md). ioredis' own `enableAutoPipelining` costs about as much as it saves.
 */
export class BatchedRedis extends Redis {
  readonly #deadlineMs = takeCommandTimeout(this.options);
  /** The commands that are written when this turn ends. */
  #batch: Command[] = [];

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    if (this.#batch.length === 0) this.#startBatch();
    this.#batch.push(args[0]);
    return super.sendCommand(...args);
  }

  #startBatch(): void {
    // There is no stream before the first connection.
    const stream: Redis['stream'] | undefined = this.stream;
    stream?.cork();
    setImmediate(() => {
      const sent = this.#batch;
      this.#batch = [];
      stream?.uncork();
      failAfter(this.#deadlineMs, sent);
    });
  }
}

/** Removes `commandTimeout` from the options: with it, ioredis would set a timer for each command. */
function takeCommandTimeout(options: RedisOptions): number {
  const { commandTimeout = COMMAND_TIMEOUT_MS } = options;
  delete options.commandTimeout;
  return commandTimeout;
}

function failAfter(deadlineMs: number, commands: Command[]): void {
  const timer = setTimeout(() => {
    for (const command of commands) if (!command.isSettled) command.reject(new Error('Command timed out'));
  }, deadlineMs);
  const stopIfAnswered = () => {
    if (commands.every(({ isSettled }) => isSettled)) clearTimeout(timer);
  };
  // Redis answers in order, so the last command is answered last.
  commands.at(-1)?.promise.then(stopIfAnswered, stopIfAnswered);
}
