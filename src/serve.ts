import cluster from 'node:cluster';
import type { RequestListener } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import closeWithGrace from 'close-with-grace';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Adapters } from './adapters/adapters.ts';
import { openAdapters } from './adapters/open-adapters.ts';
import { buildApp, buildStartingApp, type Surroundings } from './app.ts';
import type { Config } from './config/config.ts';
import { warningsOf } from './config/config-warnings.ts';
import { steadyClock } from './core/clock.ts';
import { graceMsOf } from './http/drain.ts';
import type { Lifecycle } from './http/health-routes.ts';
import { type Listener, openListener } from './http/listener.ts';
import { openTraces } from './metrics/open-traces.ts';
import { type RunningMetrics, startMetrics } from './metrics/start-metrics.ts';
import { createDatabaseWait } from './operator/database-wait.ts';
import { createRedisWatch, type RedisWatch } from './operator/redis-watch.ts';
import { announceStart, END_SIGNALS, takeOrders, workerNumber } from './workers.ts';

/** What is open so far. */
type Opened = {
  metrics: RunningMetrics;
  adapters: Adapters;
  serving?: { app: FastifyInstance; listener: Listener };
};

const lifecycle: Lifecycle = { state: 'starting' };

/**
 * Aborted when the process begins to end. What a start waits for is closed then, and nothing is to open it again; and open
 * streams end before anything else does.
 */
const ending = new AbortController();

/**
 * Runs the server in this process, until a signal ends it.
 * @throws what keeps it from starting, after all that was opened is closed
 */
export async function serve(config: Config, logger: FastifyBaseLogger): Promise<void> {
  const metrics = await startMetrics(config, (url) => logger.info(`Metrics are at ${url}`));
  const redisWatch = createRedisWatch(logger);
  const adapters = await openAdapters(config, steadyClock, {
    onNewDatabase: () =>
      logger.info(`Making a new database in ${config.DATA_DIR}: this takes a few seconds, and only once`),
    ...redisWatch.events,
  });
  const { watch } = metrics;
  const surroundings = { clock: steadyClock, lifecycle, logger, watch, ending: ending.signal };
  try {
    const opened: Opened = { metrics, adapters };
    closeOnSignal(opened, config, logger);
    const port = createPort(config);
    const openEarly = () =>
      port.listen(async () => (await buildStartingApp(config, adapters, surroundings)).routing);
    const say = (line: string) => {
      // Only if it has to wait: until then a proxy that is refused asks another replica. And not beside workers that serve,
      // which share the port: requests would come here, and not to them.
      const listening = workerNumber() === 1 ? openEarly() : Promise.resolve();
      listening.then(() => logger.warn(line), port.fail);
    };
    const app = await Promise.race([
      openParts(config, adapters, surroundings, redisWatch, say),
      port.failure,
    ]);
    const listener = await port.listen(async () => app.routing);
    listener.answerWith(app.routing);
    opened.serving = { app, listener };
    lifecycle.state = 'running';
    logger.info(
      workerNumber() === 1
        ? `Doorward is at ${config.PUBLIC_URL}, listening on ${listener.url}`
        : `worker ${workerNumber()} serves as well`,
    );
  } catch (error) {
    // A signal that ends a start makes it fail, by closing what it needs. Then its handler ends the process.
    if (lifecycle.state !== 'starting') return;
    ending.abort();
    await adapters.close();
    throw error;
  }
  announceStart();
  if (workerNumber() > 1) return;
  logger.info(`Its data is in ${adapters.location}`);
  for (const warning of warningsOf(config, process.env)) logger.warn(warning);
}

/** Listens once, at the first call, which alone is asked for a handler. `failure` rejects with what is given to `fail`. */
function createPort({ HOST, PORT }: Config) {
  const { promise: failure, reject: fail } = Promise.withResolvers<never>();
  let listening: Promise<Listener> | undefined;
  const listen = (handlerOf: () => Promise<RequestListener>): Promise<Listener> => {
    listening ??= handlerOf().then((handler) => openListener(HOST, PORT, handler));
    return listening;
  };
  return { listen, fail, failure };
}

/** Waits until PostgreSQL and Redis can be used, and builds the app on them. */
async function openParts(
  config: Config,
  adapters: Adapters,
  surroundings: Surroundings,
  redisWatch: RedisWatch,
  say: (line: string) => void,
): Promise<FastifyInstance> {
  const { logger } = surroundings;
  const whenUsable = createDatabaseWait(config, adapters, say, ending.signal);
  await Promise.all([
    redisWatch.untilUsable(adapters.cache, config, say, ending.signal),
    whenUsable(() => prepare(config, adapters, logger)),
  ]);
  const instrument = await openTraces(config, process.env, logger);
  const app = await whenUsable(() => buildApp(config, adapters, { ...surroundings, instrument }));
  await app.ready();
  return app;
}

async function prepare(config: Config, adapters: Adapters, logger: FastifyBaseLogger): Promise<void> {
  await adapters.prepare();
  if (config.MIGRATE_ON_START) {
    await adapters.migrate((line) => logger.info(line));
  }
  await adapters.checkUse();
}

function closeOnSignal(opened: Opened, config: Config, logger: FastifyBaseLogger): void {
  let order: NodeJS.Signals | undefined;
  const { close } = closeWithGrace(
    {
      delay: graceMsOf(config),
      logger: { error: logger.fatal.bind(logger) },
      skip: cluster.isWorker ? END_SIGNALS : [],
    },
    async ({ signal = order, err }) => {
      if (err) logger.fatal({ err }, 'closing after an uncaught error');
      lifecycle.state = 'draining';
      ending.abort();
      const { app, listener } = opened.serving ?? {};
      if (app && listener) await stopServing(app, listener, signal === 'SIGTERM' ? config.DRAIN_DELAY : null);
      await opened.adapters.close();
      await opened.metrics.close();
    },
  );
  if (!cluster.isWorker) return;
  takeOrders((signal) => {
    order = signal;
    close();
  });
}

/** @param drainDelayMs null when no proxy is to be waited for: Ctrl-C needs no delay */
async function stopServing(
  app: FastifyInstance,
  listener: Listener,
  drainDelayMs: number | null,
): Promise<void> {
  if (drainDelayMs === null) {
    await listener.close();
  } else {
    // The load balancer needs time to see that this replica is no longer ready.
    await delay(drainDelayMs);
    await listener.drain();
  }
  await app.close();
}
