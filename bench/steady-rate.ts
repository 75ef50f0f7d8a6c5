import { Agent, request as httpRequest } from 'node:http';
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { type Figures, figuresOf, type Request } from './load.ts';

/**
 * Sends requests at a fixed rate, whether or not earlier ones have been answered. A latency is counted from the moment
 * the request was due, so that a server that stalls cannot hide it by making its callers wait before they ask
 * (Tene, "How not to measure latency").
 */
export async function sendSteadily(request: Request, perSecond: number, seconds: number): Promise<Figures> {
  const agent = new Agent({ keepAlive: true });
  const latencies = createHistogram({ figures: 3 });
  const total = perSecond * seconds;
  const underWay: Promise<void>[] = [];
  let errors = 0;
  const startedAt = performance.now();
  while (underWay.length < total) {
    const due = Math.min(total, 1 + Math.floor(((performance.now() - startedAt) * perSecond) / 1000));
    while (underWay.length < due) {
      const dueAt = startedAt + (underWay.length * 1000) / perSecond;
      underWay.push(
        send(request, agent).then((isRight) => {
          latencies.record(Math.max(1, Math.round((performance.now() - dueAt) * 1000)));
          if (!isRight) errors += 1;
        }),
      );
    }
    await delay(1);
  }
  await Promise.all(underWay);
  agent.destroy();
  return figuresOf(latencies, performance.now() - startedAt, errors);
}

/** Whether the answer has the right status. */
function send({ url, method, headers, body, status }: Request, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const sent = httpRequest(url, { method, headers, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === status));
      response.on('error', () => resolve(false));
    });
    sent.on('error', () => resolve(false));
    sent.end(body);
  });
}
