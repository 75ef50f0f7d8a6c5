import { Agent, request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/** A request, and the only status that is right. */
export type Call = { method: string; path: string; headers: Record<string, string>; status: number };

/** A request that was answered with another status, or not at all. */
export type Failure = { call: string; outcome: string; at: number };

export type Load = {
  /** Sends no more, and waits for the last answers. */
  stop(): Promise<{ sent: number; failures: Failure[]; slowestMs: number }>;
};

/**
 * Sends calls, chosen at random, until it is stopped: about `perSecond` of them, over connections that are kept alive.
 * It tries nothing twice.
 */
export function startLoad(url: string, calls: Call[], connections: number, perSecond: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const failures: Failure[] = [];
  const everyMs = (1000 * connections) / perSecond;
  let [sent, slowestMs, isStopped] = [0, 0, false];
  const workers = Array.from({ length: connections }, work);

  return {
    async stop() {
      isStopped = true;
      await Promise.all(workers);
      agent.destroy();
      return { sent, failures, slowestMs };
    },
  };

  async function work(): Promise<void> {
    while (!isStopped) {
      const call = calls[Math.floor(Math.random() * calls.length)] as Call;
      const startedAt = performance.now();
      const outcome = await send(agent, url, call);
      sent += 1;
      const tookMs = performance.now() - startedAt;
      slowestMs = Math.max(slowestMs, tookMs);
      if (outcome !== undefined)
        failures.push({ call: `${call.method} ${call.path}`, outcome, at: Date.now() });
      // By chance, so that the workers do not fall into step.
      await delay(Math.max(0, everyMs * 2 * Math.random() - tookMs));
    }
  }
}

/** @returns undefined if the status is right; otherwise the status and the start of the body, or the error */
function send(agent: Agent, url: string, call: Call): Promise<string | undefined> {
  const { method, path, headers, status } = call;
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => resolve(`${error.code} ${error.message}`);
    const request = httpRequest(`${url}${path}`, { method, headers, agent }, async (response) => {
      const body = await text(response).catch((error: Error) => error.message);
      const isRight = response.complete && response.statusCode === status;
      resolve(isRight ? undefined : `${response.statusCode} ${body.slice(0, 100).replace(/\s+/g, ' ')}`);
    });
    request.on('error', failed).end();
  });
}
