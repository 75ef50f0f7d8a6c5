import { createPlace, newCredentials } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { type ServerProcess, startServer } from '../support/processes.ts';
import { type Call, type Failure, startLoad } from './load.ts';
import { type Balancer, type ProxyName, startProxy } from './proxies.ts';

type Teardown = { teardown(undo: () => Promise<void>): void };

export type Plan = {
  proxy: ProxyName;
  /** How often all replicas are restarted, one after the other. */
  restarts: number;
  /** In seconds. */
  drainDelay: number;
  connections: number;
  perSecond: number;
  replicas: number;
  /** Called after each of them. */
  onRestart?: (done: number) => void;
};

export type Outcome = {
  sent: number;
  failures: Failure[];
  slowestMs: number;
  /** How long a replica took from SIGTERM to its end, at most. */
  longestStopMs: number;
  /** What the proxy has written. */
  log: string;
};

type Replica = { address: string; start(): Promise<ServerProcess>; server: ServerProcess };

/** Restarts all replicas behind a proxy again and again, under load, and counts the requests that failed. */
export async function restartUnderLoad(t: Teardown, plan: Plan): Promise<Outcome> {
  const place = await createPlace(t);
  const replicas: Replica[] = [];
  for (let i = 0; i < plan.replicas; i += 1) replicas.push(await openReplica(t, place, plan.drainDelay));
  const proxy = await startProxy(
    t,
    plan.proxy,
    replicas.map(({ address }) => address),
  );
  for (const { address } of replicas) await proxy.uses(address);
  const load = startLoad(proxy.url, await callsTo(proxy.url), plan.connections, plan.perSecond);
  const stops: number[] = [];
  for (let done = 1; done <= plan.restarts; done += 1) {
    for (const replica of replicas) stops.push(await restart(replica, proxy));
    plan.onRestart?.(done);
  }
  return { ...(await load.stop()), longestStopMs: Math.max(...stops), log: proxy.log() };
}

async function openReplica(t: Teardown, place: Record<string, string>, drainDelay: number): Promise<Replica> {
  const port = await freePort();
  const settings = {
    ...place,
    PORT: String(port),
    PUBLIC_URL: 'http://localhost:3000',
    DRAIN_DELAY: `${drainDelay}s`,
    LOG_LEVEL: 'info',
  };
  const open = () => startServer(t, settings);
  return { address: `127.0.0.1:${port}`, start: open, server: await open() };
}

/** @returns milliseconds from SIGTERM to the end */
async function restart(replica: Replica, proxy: Balancer): Promise<number> {
  const signalledAt = performance.now();
  await replica.server.stop('SIGTERM');
  const stopMs = performance.now() - signalledAt;
  replica.server = await replica.start();
  await proxy.uses(replica.address);
  return stopMs;
}

/** What browsers and services ask most: nearly all of it a POST, which a proxy must not send twice. */
async function callsTo(url: string): Promise<Call[]> {
  const users = await Promise.all(Array.from({ length: 8 }, () => signUp(url)));
  const keys = { method: 'GET', path: '/.well-known/jwks.json', headers: {}, status: 200 };
  const perUser = users.flatMap((cookie): Call[] => [
    ...Array.from({ length: 8 }, () => ({
      method: 'POST',
      path: '/token',
      headers: { cookie },
      status: 200,
    })),
    { method: 'GET', path: '/me', headers: { cookie }, status: 200 },
  ]);
  return [...perUser, keys];
}

async function signUp(url: string): Promise<string> {
  const response = await fetch(`${url}/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(newCredentials()),
  });
  if (response.status !== 201) throw new Error(`sign-up failed: ${response.status}`);
  const [cookie = ''] = response.headers.getSetCookie()[0]?.split(';') ?? [];
  return cookie;
}
