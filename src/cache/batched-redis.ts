import { type Command, Redis, type RedisOptions } from 'ioredis';

/** How long a request waits for Redis before it goes on without. */
export const COMMAND_TIMEOUT_MS = 100;

/**
 * A client that writes all commands of one turn of the event loop at once, and bounds their wait by one timer.
 *
 * With many requests at a time, a system call for each command, and waking Redis with it, is most of what a `GET` costs
 * this process (bench/README.md). ioredis' own `enableAutoPipelining` costs about as much as it saves.
 */
export class BatchedRedis extends Redis {
  readonly #deadlineMs = takeCommandTimeout(this.options);
  /** What is written when this turn ends. */
  #batch: Command[] = [];

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    if (this.#batch.length === 0) this.#startBatch();
    this.#batch.push(args[0]);
    return super.sendCommand(...args);
  }

  #startBatch(): void {
    // There is none before the first connection.
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

/** Takes `commandTimeout` out of the options: with it, ioredis would set a timer for each command. */
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
  // Redis answers in order.
  commands.at(-1)?.promise.then(stopIfAnswered, stopIfAnswered);
}
