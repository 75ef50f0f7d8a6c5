export type Repetition = {
  /** Waits for the current run to end, and starts no other. */
  close(): Promise<void>;
};

/**
 * Runs a task again and again, each time `everyMs` after the last run has ended. With an interval, a slow run would
 * overlap with the next one. The timer does not keep the process alive.
 * @param onError called when a run fails; the next run follows all the same
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
