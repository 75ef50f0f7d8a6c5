import type { Clock } from '../core/clock.ts';

/** Does `work` as soon as it is asked to, but at most once in `everyMs`. Its timer does not keep the process alive. */
export function createThrottle(work: () => void, everyMs: number, now: Clock) {
  let timer: NodeJS.Timeout | undefined;
  let beganAt = Number.NEGATIVE_INFINITY;

  return {
    soon(): void {
      timer ??= setTimeout(run, Math.max(0, beganAt + everyMs - now())).unref();
    },
    stop: () => clearTimeout(timer),
  };

  function run(): void {
    timer = undefined;
    beganAt = now();
    work();
  }
}
