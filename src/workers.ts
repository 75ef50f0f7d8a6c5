import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import closeWithGrace from 'close-with-grace';
import type { Config } from './config/config.ts';
import { graceMsOf } from './http/drain.ts';
import { serveWorkerMetrics } from './metrics/start-metrics.ts';

/** A worker that served for this long has not failed at its start. */
const STEADY_MS = 30_000;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 30_000;
/** After this many failures of one place in a row, while no worker serves, the whole server ends. */
const MAX_FAILURES = 5;
/** What the workers need to end by themselves, after the time that they give to their requests. */
const MARGIN_MS = 2_000;

/** A terminal and some service managers send these to the workers as well. */
export const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] satisfies NodeJS.Signals[];

const STARTED = 'started';

type WorkersLog = Record<'info' | 'warn' | 'fatal', (context: object, message: string) => void>;

const NEVER = Number.POSITIVE_INFINITY;

/** `servesSince`: on the clock of this process. `ended` resolves with the reason, null for a good end. */
type Member = { worker: Worker; servesSince: number; ended: Promise<string | null> };

type Crew = { members: Set<Member>; isEnding: boolean; log: WorkersLog };

/** Counts the workers that were started. The first, and a process that is alone, logs what holds for the whole server. */
export function workerNumber(): number {
  return cluster.worker?.id ?? 1;
}

/**
 * Runs `WORKERS` processes of this program, which share its port, until a signal ends them. The first one starts alone: it
 * migrates the database, and if it cannot start, the others would fail in the same way. Whatever ends is replaced.
 *
 * Connections are handed out in turn (Node's default): a gateway keeps few, and the kernel would give most of them to one
 * worker.
 * @throws the error of listening for metrics
 */
export async function runWorkers(
  config: Pick<Config, 'WORKERS' | 'HOST' | 'METRICS_PORT' | 'DRAIN_DELAY'>,
  log: WorkersLog,
): Promise<void> {
  cluster.setupPrimary({ exec: fileURLToPath(new URL('./server.ts', import.meta.url)), args: [] });
  const crew: Crew = { members: new Set(), isEnding: false, log };
  await serveWorkerMetrics(
    config,
    () => servingOf(crew),
    (url) => log.info({}, `Metrics are at ${url}`),
  );
  endWithSignal(crew, graceMsOf(config) + MARGIN_MS);

  const first = hire(crew, {});
  await Promise.race([once(first.worker, 'message'), first.ended]);
  if (crew.isEnding) return;
  // The worker has said why.
  if (first.servesSince === NEVER) process.exit(1);
  void keepPlace(crew, first);
  for (let place = 2; place <= config.WORKERS; place += 1) void keepPlace(crew, hire(crew));
}

/** Only the first worker migrates. */
function hire(crew: Crew, env: Record<string, string> = { MIGRATE_ON_START: 'false' }): Member {
  const worker = cluster.fork(env);
  const ended = once(worker, 'exit').then(([code, signal]) => {
    crew.members.delete(member);
    return code === 0 ? null : (signal ?? `code ${code}`);
  });
  const member: Member = { worker, servesSince: NEVER, ended };
  worker.once('message', () => {
    member.servesSince = performance.now();
  });
  crew.members.add(member);
  return member;
}

/** Replaces the worker when it has ended, and so on: more and more slowly while it keeps failing. */
async function keepPlace(crew: Crew, member: Member, failuresBefore = 0): Promise<void> {
  const { worker, ended } = member;
  const reason = await ended;
  if (crew.isEnding) return;
  const failures = failuresAfter(failuresBefore, performance.now() - member.servesSince);
  const waitMs = waitMsOf(failures);
  const sentence = `worker ${worker.id} (process ${worker.process.pid}) ended with ${reason ?? 'code 0'}`;
  if (failures >= MAX_FAILURES && servingOf(crew).length === 0) return giveUp(crew, sentence);
  crew.log.warn({}, `${sentence}: starting another one in ${waitMs} ms`);
  await delay(waitMs);
  if (!crew.isEnding) void keepPlace(crew, hire(crew), failures);
}

function servingOf({ members }: Crew): Worker[] {
  return [...members].filter(({ servesSince }) => servesSince < NEVER).map(({ worker }) => worker);
}

/** How often in a row a worker has failed, after one more has ended that had served for this time. */
export function failuresAfter(before: number, servedMs: number): number {
  return servedMs < STEADY_MS ? before + 1 : 0;
}

/** The wait before a replacement, which doubles with each failure in a row. */
export function waitMsOf(failures: number): number {
  return failures === 0 ? 0 : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1));
}

function giveUp({ log }: Crew, reason: string): void {
  log.fatal({}, `${reason}, as ${MAX_FAILURES - 1} before it, and no worker serves: giving up`);
  process.exit(1);
}

function endWithSignal(crew: Crew, withinMs: number): void {
  // At a second signal, and when the workers take too long.
  process.on('exit', () => {
    for (const { worker } of crew.members) worker.process.kill('SIGKILL');
  });
  closeWithGrace(
    {
      delay: withinMs,
      logger: { error: (reason) => crew.log.fatal({ err: reason }, 'the workers did not end in time') },
    },
    async ({ signal = 'SIGTERM', err }) => {
      if (err) crew.log.fatal({ err }, 'closing after an uncaught error');
      crew.isEnding = true;
      const reasons = await Promise.all([...crew.members].map((member) => end(member, signal)));
      // One that did not listen to signals yet ends with the signal itself.
      if (reasons.some((reason) => reason !== null && reason !== signal)) process.exit(1);
    },
  );
}

function end({ worker, servesSince, ended }: Member, signal: NodeJS.Signals): Promise<string | null> {
  if (servesSince === NEVER) worker.process.kill(signal);
  // One that is gone has nothing to be told.
  else worker.send(signal, () => {});
  return ended;
}

/** In a worker: tells the primary that it serves. Elsewhere it does nothing. */
export function announceStart(): void {
  cluster.worker?.send(STARTED);
}

/**
 * In a worker: calls `end` once, with the first signal that comes, by the primary or from outside. One Ctrl-C arrives in
 * both ways, and must not count as a second one, at which the server would end without waiting for requests.
 */
export function takeOrders(end: (signal: NodeJS.Signals) => void): void {
  let isEnding = false;
  const first = (signal: NodeJS.Signals) => {
    if (!isEnding) end(signal);
    isEnding = true;
  };
  for (const signal of END_SIGNALS) process.on(signal, first);
  // The primary asks for metrics, too.
  process.on('message', (message) => {
    const order = END_SIGNALS.find((signal) => signal === message);
    if (order !== undefined) first(order);
  });
}
