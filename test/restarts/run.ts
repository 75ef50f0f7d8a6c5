/**
 * `npm run test:restarts -- --restarts 100`: restarts three replicas one after the other, again and again, behind nginx and
 * behind HAProxy, under load. Prints a table, and ends with 1 if any request failed. `--proxies nginx` takes only that one.
 */
import { parseArgs } from 'node:util';
import t from 'tap';
import { proxyNames } from './proxies.ts';
import { restartUnderLoad } from './rolling-restarts.ts';

const { values } = parseArgs({
  options: {
    restarts: { type: 'string', default: '5' },
    proxies: { type: 'string', default: proxyNames.join() },
    'drain-delay': { type: 'string', default: '2' },
    connections: { type: 'string', default: '40' },
    rate: { type: 'string', default: '500' },
  },
});
const restarts = Number(values.restarts);
/** Of all three replicas, on a busy machine. */
const timeout = restarts * 180_000;

const rows = [
  '| Proxy | Restarts of all three | Requests | Failed | Slowest | From SIGTERM to the end, at most |',
  '|---|---|---|---|---|---|',
];

t.setTimeout(timeout * proxyNames.length);
for (const proxy of proxyNames.filter((name) => values.proxies.split(',').includes(name))) {
  t.test(`no request fails while replicas behind ${proxy} are restarted`, { timeout }, async (t) => {
    const { sent, failures, slowestMs, longestStopMs, log } = await restartUnderLoad(t, {
      proxy,
      restarts,
      replicas: 3,
      drainDelay: Number(values['drain-delay']),
      connections: Number(values.connections),
      perSecond: Number(values.rate),
      onRestart: (done) => t.comment(`${proxy}: ${done} of ${restarts}`),
    });
    for (const { call, outcome, at } of failures)
      t.comment(`${new Date(at).toISOString()} ${call}: ${outcome}`);
    if (failures.length > 0) t.comment(log);
    const times = [slowestMs, longestStopMs].map((ms) => `${Math.round(ms)} ms`);
    rows.push(`| ${[proxy, restarts, sent, failures.length, ...times].join(' | ')} |`);
    t.equal(failures.length, 0);
  });
}
t.teardown(() => t.comment(['', ...rows, ''].join('\n')));
