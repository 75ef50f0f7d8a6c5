import { test } from 'tap';
import { createStatsService } from '../../src/admin/stats-service.ts';
import type { HourOfIds } from '../../src/admin/stats-store.ts';

const noon = Date.parse('2026-03-01T12:34:56.789Z');

const idAt = (instant: string) => {
  const digits = Date.parse(instant).toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7000-8000-000000000000`;
};
const FIRST = idAt('2026-02-28T13:00:00Z');
const LAST = idAt('2026-03-01T12:00:00Z');

/** Figures of a store that counts how often it is asked. */
function setUp() {
  const time = { local: 0, now: noon };
  const asked: HourOfIds[] = [];
  const broken = { is: false };
  const store = {
    countUsers: async () => {
      if (broken.is) throw new Error('away');
      return { total: { count: 40, isEstimate: true }, banned: 3, unverified: 9 };
    },
    countLiveSessions: async () => ({ count: 17, isEstimate: false }),
    countEvents: async (hour: HourOfIds) => {
      asked.push(hour);
      if (hour.from === FIRST) return [{ kind: 'session.started', count: 5 }];
      if (hour.from < LAST) return [];
      return [
        { kind: 'sign_in.failed', count: 2 },
        { kind: 'account.created', count: 1 },
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
  t.same([asked[0]?.from, asked[23]?.from], [FIRST, LAST]);
  for (const [at, { to }] of asked.slice(0, -1).entries()) t.equal(to, asked[at + 1]?.from);
});

test('an hour is counted again until a minute after its end', async (t) => {
  const { service, time, asked } = setUp();
  const countedLater = async (ms: number) => {
    time.local += 5_000;
    time.now = noon + ms;
    const before = asked.length;
    await service.show();
    return asked.length - before;
  };
  t.equal(await countedLater(0), 24);
  t.equal(await countedLater(0), 1, 'the one that is not over');
  const untilOneMs = Date.parse('2026-03-01T13:00:00Z') - noon;
  t.equal(await countedLater(untilOneMs + 59_999), 2, 'the one before, too');
  t.equal(await countedLater(untilOneMs + 60_000), 2, 'for the last time');
  t.equal(await countedLater(untilOneMs + 60_001), 1);
});

test('the figures are counted at most once in five seconds, for all who ask', async (t) => {
  const { service, time, asked } = setUp();
  await Promise.all([service.show(), service.show()]);
  time.local = 4_999;
  await service.show();
  t.equal(asked.length, 24);
  time.local = 5_000;
  await service.show();
  t.equal(asked.length, 25);
});

test('figures that cannot be counted are not made up', async (t) => {
  const { service, broken } = setUp();
  broken.is = true;
  await t.rejects(service.show(), { code: 'unavailable' });
});
