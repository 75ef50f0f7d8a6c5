import { test } from 'tap';
import { type Act, eventTypesOf, isWanted } from '../../src/webhooks/webhook-event.ts';

const userEventsOf = (act: Act) => eventTypesOf(act).filter((type) => type.startsWith('user.'));

test('an act on an account is told as what it is to services, and as an event of the audit', (t) => {
  t.same(eventTypesOf({ kind: 'account.created' }), ['user.created', 'audit.account.created']);
  t.same(eventTypesOf({ kind: 'account.deleted' }), ['user.deleted', 'audit.account.deleted']);
  t.same(userEventsOf({ kind: 'email.verified' }), ['user.email_verified']);
  t.same(userEventsOf({ kind: 'email.changed' }), ['user.email_changed']);
  t.same(userEventsOf({ kind: 'email.change_undone' }), ['user.email_changed']);
  t.same(userEventsOf({ kind: 'account.banned' }), ['user.banned']);
  t.same(userEventsOf({ kind: 'account.unbanned' }), ['user.unbanned']);
  t.same(userEventsOf({ kind: 'account.roles_changed' }), ['user.roles_changed']);
  t.end();
});

test('what is no business of services is told to the audit alone', (t) => {
  t.same(eventTypesOf({ kind: 'session.started' }), ['audit.session.started']);
  t.same(eventTypesOf({ kind: 'key.rotated' }), ['audit.key.rotated']);
  t.end();
});

test('an address that is verified along with something else is told as verified', (t) => {
  t.same(userEventsOf({ kind: 'password.reset', details: { was_verified: false } }), ['user.email_verified']);
  t.same(userEventsOf({ kind: 'password.reset', details: { was_verified: true } }), []);
  const changed = (after: object) =>
    userEventsOf({ kind: 'account.changed', details: { before: {}, after } });
  t.same(changed({ email_verified: true, display_name: 'B' }), ['user.email_verified']);
  t.same(changed({ email_verified: false }), []);
  t.same(changed({ email: 'told by an event of its own' }), []);
  t.same(userEventsOf({ kind: 'account.changed' }), []);
  t.end();
});

test('an operator names types, beginnings of types, or all', (t) => {
  const wanted = (pattern: string) =>
    ['user.deleted', 'audit.session.started', 'audit.sessions'].filter((type) => isWanted(type, [pattern]));
  t.same(wanted('*'), ['user.deleted', 'audit.session.started', 'audit.sessions']);
  t.same(wanted('user.*'), ['user.deleted']);
  t.same(wanted('user.deleted'), ['user.deleted']);
  t.same(wanted('audit.session.*'), ['audit.session.started']);
  t.same(wanted('audit.session'), []);
  t.equal(isWanted('user.deleted', ['audit.*', 'user.deleted']), true);
  t.equal(isWanted('user.deleted', []), false);
  t.end();
});
