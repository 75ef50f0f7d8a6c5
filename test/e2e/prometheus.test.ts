/** A real Prometheus scrapes a real server, and answers the queries of the dashboard. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { freePort } from '../support/free-port.ts';
import { findOrInstall, listens, start } from '../support/gateway-program.ts';
import { cookiesOf, emptyFolder, postJson, startServer } from './server-process.ts';

type Answer = {
  status: string;
  error?: string;
  data: { result: { metric: object; value: [number, string] }[] };
};

/** These have no lines before something went wrong, or with an embedded database. */
const EMPTY_WHEN_WELL = /code=~"5|outcome="error"|database_pool|_call_duration|unreadable/;

/** Starts a Prometheus that scrapes `target` every second. @returns asks it a query */
async function startPrometheus(t: Test, target: string): Promise<(query: string) => Promise<Answer>> {
  const binary = await findOrInstall({
    name: 'Prometheus',
    binary: 'prometheus',
    debianPackage: 'prometheus',
  });
  const folder = await emptyFolder(t);
  const port = await freePort();
  const jobs = [{ job_name: 'doorward', scrape_interval: '1s', static_configs: [{ targets: [target] }] }];
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify({ scrape_configs: jobs }));
  const prometheus = start(t, binary, [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  await listens(prometheus, port);
  return async (query) => {
    const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`;
    return (await fetch(url)).json() as Promise<Answer>;
  };
}

function dashboardQueries(): string[] {
  const { panels } = JSON.parse(readFileSync('k8s/components/monitoring/dashboard.json', 'utf8')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  return panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) =>
      expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'doorward').replaceAll('$instance', '.*'),
    ),
  );
}

test('Prometheus takes what the server says, and the dashboard gets answers', async (t) => {
  const server = startServer(t, { DATA_DIR: await emptyFolder(t), METRICS_PORT: '0' });
  const url = await server.url();
  const [, target = ''] = await server.says(/Metrics are at http:\/\/([^/]+)\/metrics/);
  const ask = await startPrometheus(t, target);
  const credentials = newCredentials();
  const useIt = async () => {
    const cookie = cookiesOf(await postJson(`${url}/login`, credentials));
    await postJson(`${url}/token`, undefined, cookie);
    await fetch(`${url}/nowhere`);
    await postJson(`${url}/logout`, undefined, cookie);
  };
  await postJson(`${url}/signup`, credentials);
  await useIt();
  const ours = async (query: string) => Number((await ask(query)).data.result[0]?.value[1]);
  await eventually(async () => {
    if ((await ours('doorward_tokens_total{kind="access"}')) !== 1) throw new Error('not scraped yet');
  });
  t.equal(await ours('up{job="doorward"}'), 1);
  await useIt();
  // Garbage is collected sooner or later, and a rate needs two scrapes.
  await eventually(async () => {
    await useIt();
    for (const expr of dashboardQueries()) {
      const { status, error, data } = await ask(expr);
      if (status !== 'success') return t.fail(`${expr}: ${error}`);
      if (data.result.length === 0 && !EMPTY_WHEN_WELL.test(expr)) throw new Error(`${expr}: no data`);
    }
    t.pass('every query has an answer');
  });
  t.equal(await ours('count(count by (route) (doorward_http_request_duration_seconds_count))'), 5);
});
