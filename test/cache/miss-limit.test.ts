import { test } from 'tap';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { createMissLimit } from '../../src/cache/miss-limit.ts';

const MINUTE_MS = 60_000;
const PER_MINUTE = 300;
const [one, other] = ['192.0.2.1', '2001:db8::1'];

function setUp() {
  const clock = { nowMs: 0 };
  const missLimit = createMissLimit(createMemoryCache(() => clock.nowMs));
  const note = async (times: number) => {
    for (let time = 0; time < times; time += 1) await missLimit.note(one);
  };
  return { clock, missLimit, note };
}

test('a client is admitted until it has asked for 300 unknown tokens', async (t) => {
  const { missLimit, note } = setUp();
  await note(PER_MINUTE - 1);
  await t.resolves(missLimit.admit(one));
  await note(1);
  await t.rejects(missLimit.admit(one), { code: 'rate_limited', retryAfterSeconds: 60 });
});

test('being admitted, or refused, counts for nothing', async (t) => {
  const { missLimit, note } = setUp();
  await note(PER_MINUTE - 1);
  for (let time = 0; time < PER_MINUTE; time += 1) await missLimit.admit(one);
  await note(1);
  await t.rejects(missLimit.admit(one));
});

test('one client does not shut out another', async (t) => {
  const { missLimit, note } = setUp();
  await note(PER_MINUTE);
  await t.rejects(missLimit.admit(one));
  await t.resolves(missLimit.admit(other));
});

test('it is over a minute after the first of them, and begins anew', async (t) => {
  const { clock, missLimit, note } = setUp();
  await note(1);
  clock.nowMs += MINUTE_MS - 1;
  await note(PER_MINUTE - 1);
  await t.rejects(missLimit.admit(one));
  clock.nowMs += 1;
  await t.resolves(missLimit.admit(one));
  await note(PER_MINUTE);
  await t.rejects(missLimit.admit(one));
});
