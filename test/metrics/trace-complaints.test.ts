import { test } from 'tap';
import { createTraceComplaints } from '../../src/metrics/trace-complaints.ts';

function open() {
  const said: string[] = [];
  const time = { nowMs: 0 };
  const log = { debug: () => {}, error: () => {}, warn: (_: object, text: string) => void said.push(text) };
  return { ...createTraceComplaints(log, () => time.nowMs), said, time };
}

test('says once a minute that the collector is away', async (t) => {
  const { exportFailed, said, time } = open();
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  for (let second = 0; second < 150; second += 1) {
    time.nowMs = second * 1000;
    exportFailed(refused);
  }
  t.same(said, Array(3).fill('traces are lost, the collector did not take them: ECONNREFUSED'));
});

test('says why in a word, and never what the collector answered', async (t) => {
  const { exportFailed, said } = open();
  exportFailed(Object.assign(new Error('Internal Server Error'), { code: 500, data: 'its answer' }));
  exportFailed(new Error('Timeout'));
  exportFailed('a text');
  t.same(
    said.map((text) => text.replace(/.*: /, '')),
    ['500', 'Timeout', 'a text'],
  );
});

test('passes on what OpenTelemetry warns of, without its arguments and without repeating it', async (t) => {
  const { diagnostics, said } = open();
  diagnostics.warn('Dropped 12 spans', { a: 'span' });
  diagnostics.warn('Dropped 9 spans');
  diagnostics.error('another one');
  diagnostics.info('not this');
  diagnostics.debug('nor this', { a: 'span' });
  diagnostics.verbose('nor this');
  t.same(said, ['OpenTelemetry: Dropped 12 spans', 'OpenTelemetry: another one']);
});
