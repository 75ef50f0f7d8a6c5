import cluster from 'node:cluster';
import { loadConfig } from './config/config.ts';
import { createLogger } from './http/logging.ts';
import { explainError } from './operator/explain-error.ts';

try {
  const config = loadConfig(process.env);
  const logger = createLogger(config.LOG_LEVEL, process.stdout.isTTY === true);
  // Loaded only now: the primary needs little of the server, and the server nothing of the primary.
  if (config.WORKERS > 1 && cluster.isPrimary)
    await (await import('./workers.ts')).runWorkers(config, logger);
  else await (await import('./serve.ts')).serve(config, logger);
} catch (error) {
  process.stderr.write(`${explainError(error, process.env)}\n`);
  process.exit(1);
}
