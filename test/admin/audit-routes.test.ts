import { test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { auditEvents } from '../../src/db/schema.ts';
import { codeOf } from '../helper.ts';
import { openOperators } from '../support/operators.ts';

test('what happened is listed in parts, the newest first, and can be filtered', async (t) => {
  const { call, addUser, addClient, database } = await openOperators(t);
  const ada = await addUser([]);
  const first = (await call('GET', '/admin/audit?limit=1')).json();
  t.match(first.events, [{ kind: 'session.started', user_id: ada.id, actor: { kind: 'user', id: ada.id } }]);
  const all = [];
  for (let next: string | null = first.next; next !== null; ) {
    const page = (await call('GET', `/admin/audit?limit=2&after=${next}`)).json();
    all.push(...page.events);
    next = page.next;
  }
  t.ok(all.some(({ kind }) => kind === 'account.created'));
  const ids = [...first.events, ...all].map(({ id }) => id);
  t.same(ids, [...new Set(ids)].sort().reverse());

  const old = {
    ...{ id: uuidv7({ msecs: 1_700_000_000_000 }), happenedAt: new Date(1_700_000_000_000) },
    ...{ kind: 'client.disabled', actorKind: 'operator' as const, details: { client: 'shop' } },
  };
  await database.insert(auditEvents).values(old);
  const told = {
    ...{ id: old.id, kind: 'client.disabled', happened_at: old.happenedAt.toISOString(), user_id: null },
    ...{ actor: { kind: 'operator', id: null }, session_id: null, ip: null, user_agent: null },
    ...{ request_id: null, details: { client: 'shop' } },
  };
  for (const query of [
    'actor=operator&kind=client.disabled',
    'kind=client.disabled',
    'until=2024-01-01T00:00:00Z',
  ])
    t.strictSame((await call('GET', `/admin/audit?${query}`)).json(), { events: [told], next: null }, query);
  const ofAda = (await call('GET', `/admin/audit?subject=${ada.id}&actor=${ada.id}&since=2024-01-01`)).json();
  t.match(ofAda.events.at(-1), { kind: 'account.created', request_id: String, ip: '127.0.0.1' });

  for (const query of [
    'after=x',
    'subject=ada',
    'since=yesterday',
    'limit=101',
    'user_id=1',
    'order=oldest',
  ]) {
    const refused = await call('GET', `/admin/audit?${query}`);
    t.same([refused.statusCode, codeOf(refused)], [400, 'validation_failed'], query);
  }

  const { bearer } = await addClient({ scopes: ['admin:users:read'] });
  const refused = await call('GET', '/admin/audit', { bearer });
  t.same([refused.statusCode, codeOf(refused)], [403, 'insufficient_scope'], 'not for every operator');
});
