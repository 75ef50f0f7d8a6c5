import fc from 'fast-check';
import { test } from 'tap';
import { isLive, isSeenDue, type SessionRecord } from '../../src/sessions/session-rules.ts';

const NOW_MS = 1_800_000_000_000;

const session: SessionRecord = {
  id: 'a',
  userId: 'b',
  claims: { email: 'ada@example.com', email_verified: true },
  userStatus: 'active',
  createdAt: NOW_MS - 1,
  authenticatedAt: NOW_MS - 1,
  amr: ['pwd'],
  acr: null,
  lastSeenAt: NOW_MS - 1,
  expiresAt: NOW_MS + 2,
  idleExpiresAt: NOW_MS + 1,
  ended: false,
  version: 2,
};

test('a session is live until the instant of its first expiry', async (t) => {
  t.equal(isLive(session, NOW_MS), true);
  const instants = fc.integer({ min: NOW_MS - 1000, max: NOW_MS + 1000 });
  const endsAtTheFirst = (expiresAt: number, idleExpiresAt: number, now: number) =>
    isLive({ ...session, expiresAt, idleExpiresAt }, now) === now < Math.min(expiresAt, idleExpiresAt);
  t.doesNotThrow(() => fc.assert(fc.property(instants, instants, instants, endsAtTheFirst)));
  t.equal(isLive({ ...session, expiresAt: NOW_MS }, NOW_MS), false);
  t.equal(isLive({ ...session, idleExpiresAt: NOW_MS }, NOW_MS), false);
});

test('a session is not live once it was ended, or its user banned', async (t) => {
  t.equal(isLive({ ...session, ended: true }, NOW_MS), false);
  t.equal(isLive({ ...session, userStatus: 'banned' }, NOW_MS), false);
});

test('a use is worth a write a minute after the last one noted', async (t) => {
  const lastSeenAt = NOW_MS;
  t.equal(isSeenDue({ ...session, lastSeenAt }, NOW_MS + 59_999), false);
  t.equal(isSeenDue({ ...session, lastSeenAt }, NOW_MS + 60_000), true);
  t.equal(isSeenDue({ ...session, lastSeenAt }, NOW_MS - 60_000), false);
});
