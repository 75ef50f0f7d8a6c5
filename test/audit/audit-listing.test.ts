import { test } from 'tap';
import { type AuditQuery, readAuditQuery, toListedEvent } from '../../src/audit/audit-listing.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057';

test('an empty query is the newest fifty events', async (t) => {
  t.strictSame(readAuditQuery({}), { limit: 50, isNewestFirst: true });
});

test('a query names who, whom, what and when', async (t) => {
  const query: AuditQuery = { subject: ID, kind: 'account.banned', after: ID, limit: 7, order: 'oldest' };
  t.strictSame(
    readAuditQuery({ ...query, actor: 'shop', since: '2026-11-27', until: '2026-11-27T16:30:00+01:00' }),
    {
      ...{ actorId: 'shop', userId: ID, kind: 'account.banned', after: ID, limit: 7, isNewestFirst: false },
      ...{ since: new Date('2026-11-27T00:00:00Z'), until: new Date('2026-11-27T15:30:00Z') },
    },
  );
  t.match(readAuditQuery({ actor: 'server' }), { actorKind: 'server' });
});

test('all that is wrong with a query is told at once', async (t) => {
  const wrong: AuditQuery = {
    ...{ actor: 'a b', subject: 'ada', kind: 'DROP', since: 'yesterday', until: '2026-11-27T16:30:00' },
    ...{ after: '1', limit: 0 },
  };
  const paths = ['/actor', '/kind', '/subject', '/since', '/until', '/after', '/limit'];
  t.throws(() => readAuditQuery(wrong), {
    code: 'validation_failed',
    errors: paths.map((path) => ({ path, message: /^is not/ })),
  });
  for (const since of ['2026-02-31T00:00:00Z', '2026-13-01', '0000-01-01', '']) t.notOk(isGood({ since }));
  for (const limit of [0.5, 1_001]) t.notOk(isGood({ limit }));
});

function isGood(query: AuditQuery): boolean {
  try {
    readAuditQuery(query);
    return true;
  } catch {
    return false;
  }
}

test('an event is told with the names of the API', async (t) => {
  const happenedAt = new Date('2026-11-27T16:30:00Z');
  const event = {
    ...{ id: ID, kind: 'key.rotated', happenedAt, userId: null, actorId: 'shop', actorKind: 'client' },
    ...{ requestId: 'one', sessionId: null, ip: '192.0.2.1', userAgent: 'Lynx', details: { a: 1 } },
  };
  t.strictSame(toListedEvent(event), {
    ...{ id: ID, kind: 'key.rotated', happened_at: '2026-11-27T16:30:00.000Z', user_id: null },
    ...{ actor: { kind: 'client', id: 'shop' }, session_id: null, ip: '192.0.2.1', user_agent: 'Lynx' },
    ...{ request_id: 'one', details: { a: 1 } },
  });
});
