import { test } from 'tap';
import { createMemoryCache } from '../../src/adapters/memory-cache.ts';
import { createUnknownTokens } from '../../src/sessions/unknown-tokens.ts';

const MINUTE_MS = 60_000;
const PER_MINUTE = 300;
const [one, other] = ['192.0.2.1', '2001:db8::1'];

function setUp() {
  const clock = { nowMs: 0 };
  const unknownTokens = createUnknownTokens(createMemoryCache(() => clock.nowMs));
  const note = async (times: number) => {
    for (let time = 0; time < times; time += 1) await unknownTokens.note(one);
  };
  return { clock, unknownTokens, note };
}

test('a client is admitted until it has asked for 300 unknown tokens', async (t) => {
  const { unknownTokens, note } = setUp();
  await note(PER_MINUTE - 1);
  await t.resolves(unknownTokens.admit(one));
  await note(1);
  await t.rejects(unknownTokens.admit(one), { code: 'rate_limited', retryAfterSeconds: 60 });
});

test('being admitted, or refused, counts for nothing', async (t) => {
  const { unknownTokens, note } = setUp();
  await note(PER_MINUTE - 1);
  for (let time = 0; time < PER_MINUTE; time += 1) await unknownTokens.admit(one);
  await note(1);
  await t.rejects(unknownTokens.admit(one));
});

test('one client does not shut out another', async (t) => {
  const { unknownTokens, note } = setUp();
  await note(PER_MINUTE);
  await t.rejects(unknownTokens.admit(one));
  await t.resolves(unknownTokens.admit(other));
});

test('it is over a minute after the first of them, and begins anew', async (t) => {
  const { clock, unknownTokens, note } = setUp();
  await note(1);
  clock.nowMs += MINUTE_MS - 1;
  await note(PER_MINUTE - 1);
  await t.rejects(unknownTokens.admit(one));
  clock.nowMs += 1;
  await t.resolves(unknownTokens.admit(one));
  await note(PER_MINUTE);
  await t.rejects(unknownTokens.admit(one));
});
