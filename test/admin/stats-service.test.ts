import { test } from 'tap';
import { createStatsService } from '../../src/admin/stats-service.ts';
import type { HourOfIds } from '../../src/admin/stats-store.ts';

const noon = Date.parse('2026-03-01T12:34:56.789Z');

/** Figures of a store that counts how often it is asked. */
function setUp() {
  const time = { local: 0, now: noon };
  const asked: HourOfIds[][] = [];
  const broken = { is: false };
  const store = {
    countUsers: async () => {
      if (broken.is) throw new Error('away');
      return { total: { count: 40, isEstimate: true }, banned: 3, unverified: 9 };
    },
    countLiveSessions: async () => ({ count: 17, isEstimate: false }),
    countEvents: async (hours: HourOfIds[]) => {
      asked.push(hours);
      return [
        { hour: 0, kind: 'session.started', count: 5 },
        { hour: 23, kind: 'sign_in.failed', count: 2 },
        { hour: 23, kind: 'account.created', count: 1 },
      ];
    },
  };
  const service = createStatsService({ store, now: () => time.now, local: () => time.local });
  return { service, time, asked, broken };
}

test('the hours end with the one that is not over, and each is a range of ids', async (t) => {
  const { service, asked } = setUp();
  const { by_hour: hours, ...counts } = await service.show();
  t.strictSame(counts, {
    users: { total: 40, active: 37, banned: 3, unverified: 9, estimated: true },
    live_sessions: 17,
    live_sessions_estimated: false,
  });
  t.equal(hours.length, 24);
  t.strictSame(hours[0], { hour: '2026-02-28T13:00:00.000Z', sign_ins: 5, failures: 0, sign_ups: 0 });
  t.strictSame(hours[23], { hour: '2026-03-01T12:00:00.000Z', sign_ins: 0, failures: 2, sign_ups: 1 });
  const ranges = asked[0] ?? [];
  t.equal(
    parseInt(String(ranges[23]?.from).replace('-', '').slice(0, 12), 16),
    Date.parse('2026-03-01T12:00Z'),
  );
  for (const [at, { to }] of ranges.slice(0, -1).entries()) t.equal(to, ranges[at + 1]?.from);
});

test('the figures are counted at most once in five seconds, for all who ask', async (t) => {
  const { service, time, asked } = setUp();
  await Promise.all([service.show(), service.show()]);
  time.local = 4_999;
  await service.show();
  t.equal(asked.length, 1);
  time.local = 5_000;
  await service.show();
  t.equal(asked.length, 2);
});

test('figures that cannot be counted are not made up', async (t) => {
  const { service, broken } = setUp();
  broken.is = true;
  await t.rejects(service.show(), { code: 'unavailable' });
});
