import { type Test, test } from 'tap';
import { serveMetrics } from '../../src/metrics/metrics-server.ts';
import type { Snapshot } from '../../src/metrics/open-metrics.ts';

const snapshot: Snapshot = [
  {
    ...{ name: 'up_total', help: 'Help', type: 'counter', aggregator: 'sum', collect: () => {} },
    values: [{ value: 1, labels: {} }],
  },
];

async function serve(t: Test, read: () => Promise<Snapshot[]> = async () => [snapshot], host = '127.0.0.1') {
  const server = await serveMetrics({ host, port: 0 }, read);
  t.teardown(() => server.close().catch(() => {}));
  return server;
}

test('serves the metrics to those who read them, and nothing else', async (t) => {
  const { url } = await serve(t);
  const got = await fetch(`${url}?name=up`);
  t.equal(got.status, 200);
  t.equal(got.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  t.equal(await got.text(), '# HELP up_total Help\n# TYPE up_total counter\nup_total 1\n');
  t.equal((await fetch(url, { method: 'HEAD' })).status, 200);
  for (const path of ['/', '/metrics/', '/metrics/x', '/METRICS', '/token'])
    t.equal((await fetch(new URL(path, url))).status, 404, path);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const refused = await fetch(url, { method });
    t.equal(refused.status, 405, method);
    t.equal(refused.headers.get('allow'), 'GET, HEAD');
    t.equal(await refused.text(), '');
  }
});

test('answers 500 and not why, if the metrics cannot be read', async (t) => {
  const { url } = await serve(t, () => Promise.reject(new Error('secret')));
  const failed = await fetch(url);
  t.equal(failed.status, 500);
  t.equal(await failed.text(), '');
});

test('scrapes at the same time are one reading', async (t) => {
  let readings = 0;
  const reading = Promise.withResolvers<Snapshot[]>();
  const { url } = await serve(t, () => {
    readings += 1;
    return reading.promise;
  });
  const scrapes = [1, 2, 3].map(async () => (await fetch(url)).text());
  while (readings === 0) await new Promise(setImmediate);
  setTimeout(() => reading.resolve([snapshot]), 100);
  t.equal(new Set(await Promise.all(scrapes)).size, 1);
  t.equal(readings, 1);
  await fetch(url);
  t.equal(readings, 2);
});

test('lets a scrape end before it closes, and waits for none that does not', async (t) => {
  const readings = [Promise.withResolvers<Snapshot[]>(), Promise.withResolvers<Snapshot[]>()];
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const servers = await Promise.all(
    readings.map(({ promise }, index) =>
      serve(t, () => {
        asked[index]?.resolve();
        return promise;
      }),
    ),
  );
  const scrapes = servers.map(({ url }) => fetch(url));
  await Promise.all(asked.map(({ promise }) => promise));
  const closed = Promise.all(servers.map(({ close }) => close()));
  readings[0]?.resolve([snapshot]);
  t.equal((await scrapes[0])?.status, 200);
  await t.rejects(async () => scrapes[1]);
  await closed;
  await t.rejects(fetch(servers[0]?.url ?? ''));
});

test('a port that is taken is an error of listening', async (t) => {
  const { url } = await serve(t);
  const port = Number(new URL(url).port);
  await t.rejects(
    serveMetrics({ host: '127.0.0.1', port }, async () => []),
    {
      code: 'EADDRINUSE',
      syscall: 'listen',
      port,
    },
  );
});

test('writes an IPv6 address as a URL has it', async (t) => {
  const { url } = await serve(t, undefined, '::1');
  t.match(url, /^http:\/\/\[::1\]:\d+\/metrics$/);
  t.equal((await fetch(url)).status, 200);
});
