import { test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { openTraces } from '../../src/metrics/open-traces.ts';

const OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:4318';
const log = { debug: () => {}, warn: () => {}, error: () => {} };

test('traces nothing where no collector is set, or OpenTelemetry is switched off', async (t) => {
  for (const env of [
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: '' },
    { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: 'True' },
    { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: 'none' },
  ]) {
    t.equal(await openTraces(loadConfig(env), env, log), undefined);
  }
  const on = { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: 'false', OTEL_TRACES_EXPORTER: 'otlp' };
  t.type(await openTraces(loadConfig(on), on, log), 'function');
});

test('takes the address of a collector in any spelling, and no password in it', async (t) => {
  for (const url of ['http://collector:4318/', 'https://Collector.example.com:443/otlp'])
    t.equal(loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: url }).OTEL_EXPORTER_OTLP_ENDPOINT, url);
  for (const url of ['collector:4318', 'http://me:secret@collector:4318', 'http://collector:4318/?a=1'])
    t.throws(() => loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: url }), /OTEL_EXPORTER_OTLP_ENDPOINT/);
});
