import { type BreakerPart, channels, tell } from './channels.ts';

/** Thrown while the breaker is open: no call is made until a probe has succeeded. */
export class CircuitOpenError extends Error {
  override readonly name = 'CircuitOpenError';
}

type CircuitBreakerOptions = {
  /** What it protects: its changes are published under this name. */
  part: BreakerPart;
  /** The number of failures in a row that opens the breaker. */
  threshold: number;
  /** Which errors count: a missing answer counts, a refusal does not. */
  isFailure(error: unknown): boolean;
  /** Tests whether the dependency answers again; must reject within a bounded time. */
  probe(): Promise<unknown>;
  probeEveryMs: number;
  /** Called on each change. */
  onChange(isOpen: boolean): void;
};

export type CircuitBreaker = ReturnType<typeof createCircuitBreaker>;

/**
 * Stops calling a dependency that does not answer, so that only the first requests wait for a timeout, not all of them.
 *
 * A probe in the background closes the breaker. The libraries for this use a request as the probe, and that request
 * would wait for the dead dependency again.
 */
export function createCircuitBreaker(options: CircuitBreakerOptions) {
  const { part, threshold, isFailure, probe, probeEveryMs, onChange } = options;
  let failures = 0;
  let isOpen = false;
  let isClosedForGood = false;
  let timer: NodeJS.Timeout | undefined;

  return {
    /** @throws CircuitOpenError at once while the breaker is open; otherwise what `call` throws */
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
    /** Stops the probes for good: from now on every call is made. */
    close(): void {
      clearTimeout(timer);
      isClosedForGood = true;
      isOpen = false;
    },
  };

  function note(): void {
    failures += 1;
    if (isOpen || isClosedForGood || failures < threshold) return;
    change(true);
    probeNow();
  }

  /** The first probe starts at once: after a single lost connection, the breaker closes before other calls fail. */
  function probeNow(): void {
    void probe().then(recover, () => {
      if (isOpen) timer = setTimeout(probeNow, probeEveryMs).unref();
    });
  }

  function recover(): void {
    if (!isOpen) return;
    failures = 0;
    change(false);
  }

  function change(opens: boolean): void {
    isOpen = opens;
    tell(channels.breaker, { part, isOpen });
    onChange(opens);
  }
}
