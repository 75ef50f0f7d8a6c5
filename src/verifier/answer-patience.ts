import { UnusableAnswer } from './fetch-document.ts';

/** Calls back later. @returns a function that prevents it */
export type Later = (callback: () => void, ms: number) => () => void;

export type Patience = ReturnType<typeof createPatience>;

/** A timer that does not keep the process alive. */
export const later: Later = (callback, ms) => {
  const timer = setTimeout(callback, ms);
  // In a browser it is a number.
  (timer as { unref?(): unknown }).unref?.();
  return () => clearTimeout(timer);
};

/** Ends a request for which nothing comes any more. */
export function createPatience(callLater: Later) {
  const controller = new AbortController();
  let cancel = () => {};
  return {
    signal: controller.signal,
    /** Ends the request, unless this or `end` is called within this time. */
    waitAtMost(ms: number): void {
      cancel();
      const silence = new UnusableAnswer('silence', `says nothing for ${ms} ms`);
      cancel = callLater(() => controller.abort(silence), ms);
    },
    /** Ends the request, if it has not ended yet. */
    end(): void {
      cancel();
      controller.abort();
    },
  };
}
