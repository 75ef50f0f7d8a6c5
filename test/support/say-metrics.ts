/** Loaded before a server: tells at its end, on standard error, what metrics and traces had taken part. */
import { hasSubscribers } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import { channels } from '../../src/core/channels.ts';
import { operations } from '../../src/core/trace-channels.ts';

const { cache } = createRequire(import.meta.url);

process.once('exit', () => {
  const calls = Object.values(operations).flatMap(({ start, end, asyncStart, asyncEnd, error }) => [
    start,
    end,
    asyncStart,
    asyncEnd,
    error,
  ]);
  const all = [...Object.values(channels), ...calls];
  const found = {
    libraries: Object.keys(cache).filter((path) => path.includes('@prometheus-io')).length,
    channels: all.filter(({ name }) => hasSubscribers(name)).length,
  };
  process.stderr.write(`${JSON.stringify(found)}\n`);
});
