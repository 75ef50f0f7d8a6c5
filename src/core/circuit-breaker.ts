/** The part behind an open breaker: nobody waits for it until a probe has found it well again. */
export class CircuitOpenError extends Error {
  override readonly name = 'CircuitOpenError';
}

type CircuitBreakerOptions = {
  /** Failures in a row that open it. */
  threshold: number;
  /** Which errors count: those of a part that does not answer, not those of one that says no. */
  isFailure(error: unknown): boolean;
  /** Asks the part whether it is well; must reject within a bounded time. */
  probe(): Promise<unknown>;
  probeEveryMs: number;
  /** Hears of each change. */
  onChange(isOpen: boolean): void;
};

export type CircuitBreaker = ReturnType<typeof createCircuitBreaker>;

/**
 * Stops asking a part that does not answer, so that requests pay for noticing once and not each for itself.
 *
 * It closes by a probe of its own, off the requests' path: kept libraries let a request be the probe, which would
 * wait for the dead part again.
 */
export function createCircuitBreaker(options: CircuitBreakerOptions) {
  const { threshold, isFailure, probe, probeEveryMs, onChange } = options;
  let failures = 0;
  let isOpen = false;
  let isClosedForGood = false;
  let timer: NodeJS.Timeout | undefined;

  return {
    /** @throws CircuitOpenError at once while the breaker is open; else whatever `call` throws */
    async run<T>(call: () => Promise<T>): Promise<T> {
      if (isOpen) throw new CircuitOpenError('the circuit is open');
      try {
        const answer = await call();
        failures = 0;
        return answer;
      } catch (error) {
        if (isFailure(error)) note();
        throw error;
      }
    },
    isOpen: (): boolean => isOpen,
    /** Ends the probing, for good: from now on calls are only passed on. */
    close(): void {
      clearTimeout(timer);
      isClosedForGood = true;
      isOpen = false;
    },
  };

  function note(): void {
    failures += 1;
    if (isOpen || isClosedForGood || failures < threshold) return;
    isOpen = true;
    onChange(true);
    probeNow();
  }

  /** At once the first time: what was a single lost connection is over before anybody notices. */
  function probeNow(): void {
    void probe().then(recover, () => {
      if (isOpen) timer = setTimeout(probeNow, probeEveryMs).unref();
    });
  }

  function recover(): void {
    if (!isOpen) return;
    failures = 0;
    isOpen = false;
    onChange(false);
  }
}
