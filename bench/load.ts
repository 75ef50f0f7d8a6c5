import { createHistogram, type Histogram } from 'node:perf_hooks';
import autocannon from 'autocannon';

/** One kind of HTTP request, and its expected status. */
export type Request = {
  method: 'GET' | 'POST';
  url: string;
  headers?: Record<string, string>;
  body?: string;
  status: number;
  /** If each request must be different: the headers of the next one, in addition to those above. */
  nextHeaders?: () => Record<string, string>;
};

/** Latencies are in milliseconds. */
export type Figures = {
  requests: number;
  perSecond: number;
  p50: number;
  p97_5: number;
  p99: number;
  /** Answers of another status, lost connections, timeouts. */
  errors: number;
};

/**
 * Sends the request again and again: each connection sends its next one when the last is answered.
 *
 * Latencies are counted here, to the microsecond: autocannon's own are whole milliseconds.
 */
export async function load(request: Request, connections: number, seconds: number): Promise<Figures> {
  const latencies = createHistogram({ figures: 3 });
  const { status, nextHeaders, url, ...sent } = request;
  let wrong = 0;
  const startedAt = performance.now();
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(
      {
        ...{ url, connections, duration: seconds, sampleInt: 100 },
        requests: [{ ...sent, ...(nextHeaders && { setupRequest: withHeaders(nextHeaders) }) }],
      },
      (error, figures) => (error ? reject(error) : resolve(figures)),
    );
    run.on('response', (_client, statusCode, _bytes, milliseconds) => {
      latencies.record(Math.max(1, Math.round(milliseconds * 1000)));
      if (statusCode !== status) wrong += 1;
    });
  });
  return figuresOf(latencies, performance.now() - startedAt, wrong + result.errors + result.timeouts);
}

/** @param latencies in microseconds, one for each request */
export function figuresOf(latencies: Histogram, elapsedMs: number, errors: number): Figures {
  const quantile = (percent: number) => latencies.percentile(percent) / 1000;
  return {
    requests: latencies.count,
    perSecond: (latencies.count * 1000) / elapsedMs,
    p50: quantile(50),
    p97_5: quantile(97.5),
    p99: quantile(99),
    errors,
  };
}

function withHeaders(nextHeaders: () => Record<string, string>) {
  return (given: autocannon.Request): autocannon.Request => ({
    ...given,
    headers: { ...given.headers, ...nextHeaders() },
  });
}
