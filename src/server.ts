import { setTimeout as delay } from 'node:timers/promises';
import closeWithGrace from 'close-with-grace';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Adapters } from './adapters/adapters.ts';
import { openAdapters } from './adapters/open-adapters.ts';
import { buildApp } from './app.ts';
import { type Config, loadConfig } from './config/config.ts';
import { steadyClock } from './core/clock.ts';
import type { Lifecycle } from './http/health-routes.ts';
import { createLogger } from './http/logging.ts';
import { explainError } from './operator/explain-error.ts';

/** Time for running requests to end, after the drain delay. */
const CLOSE_TIMEOUT_MS = 10_000;

try {
  await start(loadConfig(process.env));
} catch (error) {
  process.stderr.write(`${explainError(error)}\n`);
  process.exit(1);
}

async function start(config: Config): Promise<void> {
  const logger = createLogger(config.LOG_LEVEL, process.stdout.isTTY === true);
  const lifecycle: Lifecycle = { draining: false };
  const adapters = await openAdapters(config, steadyClock, {
    onError: (err) => logger.warn({ err }, 'the connection to Redis failed: reconnecting'),
    onBreak: (isOpen) =>
      logger.warn(isOpen ? 'Redis does not answer: going on without it' : 'Redis answers again'),
  });
  try {
    const app = await prepare(config, adapters, lifecycle, logger);
    // Before the log line that says it runs: an operator who reads that may send a signal at once.
    closeOnSignal(app, adapters, config, lifecycle, logger);
    await app.listen({
      host: config.HOST,
      port: config.PORT,
      listenTextResolver: (address) => `Doorward is at ${config.PUBLIC_URL}, listening on ${address}`,
    });
  } catch (error) {
    await adapters.close();
    throw error;
  }
  logger.info(`Its data is in ${adapters.location}`);
  for (const warning of warningsOf(config)) logger.warn(warning);
}

/** Settings that protect less than their defaults do. */
function* warningsOf({ COOKIE_MODE, CLIENT_ASSERTION_AUDIENCE }: Config): Generator<string> {
  if (COOKIE_MODE === 'insecure')
    yield 'COOKIE_MODE=insecure: the session cookie is sent unencrypted. Use this on a private network only.';
  if (CLIENT_ASSERTION_AUDIENCE === 'endpoint')
    yield 'CLIENT_ASSERTION_AUDIENCE=endpoint: a malicious server can make a client sign an assertion that works here. Let clients put PUBLIC_URL into aud, and unset this.';
}

async function prepare(
  config: Config,
  adapters: Adapters,
  lifecycle: Lifecycle,
  logger: FastifyBaseLogger,
): Promise<FastifyInstance> {
  await adapters.prepare();
  if (config.MIGRATE_ON_START) {
    await adapters.migrate(() => logger.info('waiting for another replica, which is migrating the database'));
  }
  return buildApp(config, adapters, { clock: steadyClock, lifecycle, logger });
}

function closeOnSignal(
  app: FastifyInstance,
  adapters: Adapters,
  config: Config,
  lifecycle: Lifecycle,
  logger: FastifyBaseLogger,
): void {
  closeWithGrace(
    { delay: config.DRAIN_DELAY + CLOSE_TIMEOUT_MS, logger: { error: logger.fatal.bind(logger) } },
    async ({ signal, err }) => {
      if (err) logger.fatal({ err }, 'closing after an uncaught error');
      lifecycle.draining = true;
      // The load balancer needs time to see that this replica is no longer ready. Ctrl-C needs no delay.
      if (signal === 'SIGTERM') await delay(config.DRAIN_DELAY);
      await app.close();
      await adapters.close();
    },
  );
}
