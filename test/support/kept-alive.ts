import { Agent, request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';

type Teardown = { teardown(undo: () => unknown): void };

export type Answer = {
  status: number;
  /** The header of that name. */
  connection: string | undefined;
  body: string;
  /** Of our side: it shows whether two requests went over one connection. */
  port: number;
};

/** Connections that are kept alive, as a proxy keeps them. */
export function keptAlive(t: Teardown, maxSockets = Number.POSITIVE_INFINITY): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets });
  t.teardown(() => agent.destroy());
  return agent;
}

/** One request over the agent's connections. Rejects when the connection is refused or reset. */
export function askOver(agent: Agent, url: string, method = 'GET', cookie?: string): Promise<Answer> {
  const headers = { ...(cookie !== undefined && { cookie }) };
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, agent, headers }, (response) => {
      const { statusCode: status = 0, headers: answered, socket } = response;
      const seen = { status, connection: answered.connection, port: socket.localPort ?? 0 };
      text(response).then((body) => resolve({ ...seen, body }), reject);
    });
    request.on('error', reject).end();
  });
}
