import type { DiagLogger } from '@opentelemetry/api';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';

const SAY_AGAIN_AFTER_MS = 60_000;

/**
 * What OpenTelemetry complains about, in our log: each complaint once a minute at most. While the collector is away, there
 * is one with every batch.
 */
export function createTraceComplaints(log: Log, now: Clock) {
  const saidAt = new Map<string, number>();

  function complain(message: string): void {
    // The same complaint comes with other numbers.
    const key = message.replace(/\d+/g, '0');
    const isTooSoon = now() - (saidAt.get(key) ?? Number.NEGATIVE_INFINITY) < SAY_AGAIN_AFTER_MS;
    if (isTooSoon) return;
    saidAt.set(key, now());
    log.warn({}, message);
  }

  const diagnostics: DiagLogger = {
    error: (message) => complain(`OpenTelemetry: ${message}`),
    warn: (message) => complain(`OpenTelemetry: ${message}`),
    info: () => {},
    debug: () => {},
    verbose: () => {},
  };
  return {
    /** The logger of OpenTelemetry's own library. It is given no arguments beside the message: they may hold spans. */
    diagnostics,
    /** Called when a batch of spans is lost. The answer of the collector is not logged. */
    exportFailed: (error: unknown) =>
      complain(`traces are lost, the collector did not take them: ${reasonOf(error)}`),
  };
}

function reasonOf(error: unknown): string {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  return String(code ?? message ?? error);
}
