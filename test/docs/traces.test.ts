import Fastify from 'fastify';
import { test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { ALLOWED_ATTRIBUTES } from '../../src/metrics/span-hygiene.ts';
import { startTraces } from '../../src/metrics/traces.ts';
import { startCollector } from '../support/otlp-collector.ts';
import { captures, namesIn, readPage, section } from './pages.ts';

const page = 'docs/traces.md';
const log = { debug: () => {}, warn: () => {}, error: () => {} };

test('the settings at the top turn traces on, and record one request in a hundred', async (t) => {
  const lines = captures(readPage(page), /^ {4}export (\w+=\S+)$/gm);
  const env = Object.fromEntries(lines.map((line) => line.split('=')));
  const collector = await startCollector(t);
  t.ok(URL.canParse(env.OTEL_EXPORTER_OTLP_ENDPOINT));
  const here = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  Object.assign(process.env, here);
  const app = Fastify();
  await (await startTraces(loadConfig(here), here, log))(app);
  app.get('/', async () => 'here');
  for (let count = 0; count < 2_000; count += 1) await app.inject('/');
  await app.close();
  t.equal(collector.requests[0]?.path, '/v1/traces');
  // Twenty on average; outside of these bounds once in millions of runs.
  t.ok(collector.spans().length > 1 && collector.spans().length < 50, `${collector.spans().length}`);
});

test('the list of what leaves is the one that the exporter holds to', async (t) => {
  t.same(namesIn(section(page, 'What a trace never contains')), [...ALLOWED_ATTRIBUTES]);
});
