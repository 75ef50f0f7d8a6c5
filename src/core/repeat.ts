export type Repetition = {
  /** Lets a run under way end, and starts no other. */
  close(): Promise<void>;
};

/**
 * Runs a task again and again, each time `everyMs` after the last run has ended: not an interval, so that a slow run
 * cannot overtake itself. Keeps no process alive.
 * @param onError hears of a run that failed; the next one follows as if it had not
 */
export function repeat(
  task: () => Promise<unknown>,
  everyMs: number,
  onError: (error: unknown) => void,
): Repetition {
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let running: Promise<void> = Promise.resolve();
  runLater();
  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await running;
    },
  };

  function runLater(): void {
    if (isClosed) return;
    timer = setTimeout(() => {
      running = task().then(() => {}, onError);
      void running.then(runLater);
    }, everyMs).unref();
  }
}
