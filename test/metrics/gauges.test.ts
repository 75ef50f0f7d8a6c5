import { type Test, test } from 'tap';
import { expose } from '../../src/metrics/exposition.ts';
import type { State } from '../../src/metrics/gauges.ts';
import { openMetrics } from '../../src/metrics/open-metrics.ts';
import { fakeState, linesOf } from '../support/metrics.ts';

function watch(t: Test, state: State) {
  const metrics = openMetrics({ version: '1' });
  t.teardown(metrics.close);
  metrics.watch(state);
  return async () => linesOf((await expose([await metrics.read()])).text);
}

test('shows what the rooms know at the moment of the scrape', async (t) => {
  const scrape = watch(t, fakeState({ queued: 7 }));
  t.match(await scrape(), {
    doorward_password_hashes_running: 1,
    doorward_password_hashes_queued: 7,
    doorward_database_pool_size: 10,
    doorward_database_pool_in_use: 3,
    doorward_database_pool_waiting: 0,
    'doorward_signing_keys{status="active"}': 1,
    'doorward_signing_keys{status="retired"}': 2,
    'doorward_signing_keys{status="pending"}': 0,
    'doorward_signing_key_age_seconds{status="active"}': 60,
    'doorward_signing_key_age_seconds{status="retired"}': 2,
    doorward_signing_key_next_rotation_seconds: 1,
    doorward_signing_key_unconfirmed_seconds: 1.5,
    doorward_revocation_feed_age_seconds: 0.25,
    doorward_revocation_entries: 12,
    doorward_revocation_streams: 3,
    'doorward_outbox_depth{lane="sessions_ended"}': 4,
    'doorward_outbox_dead{lane="sessions_ended"}': 2,
    'doorward_outbox_oldest_seconds{lane="sessions_ended"}': 5,
    'doorward_outbox_oldest_seconds{lane="mail"}': 0,
    doorward_outbox_unknown: 0,
  });
});

test('leaves out what is not known, and says so of the outbox', async (t) => {
  const { pool: _, ...embedded } = fakeState({
    untilRotationMs: null,
    revocations: null,
    outbox: () => Promise.reject(new Error('the database does not answer')),
  });
  const scrape = watch(t, embedded);
  const lines = await scrape();
  t.equal(lines.doorward_outbox_unknown, 1);
  const names = Object.keys(lines).join('\n');
  t.notMatch(
    names,
    /doorward_(outbox_(depth|dead|oldest)|database_pool|signing_key_next|revocation_entries)/,
  );
  t.match(names, 'doorward_signing_keys');
  const { doorward_revocation_feed_age_seconds: age } = lines;
  t.ok(Number(age) > 0, 'a feed that was never read is late from the start on');
  t.ok(Number((await scrape()).doorward_revocation_feed_age_seconds) > Number(age));
});
