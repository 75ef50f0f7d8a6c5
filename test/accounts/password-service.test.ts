import { type Test, test } from 'tap';
import { forgottenPasswordLane } from '../../src/accounts/password-forgotten.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import {
  auditEvents,
  oneTimeCodes,
  outbox as outboxRows,
  sessions as sessionRows,
  users,
} from '../../src/db/schema.ts';
import { CLIENT, makePassword, openPasswords, visit } from '../support/passwords.ts';

const MINUTE_MS = 60_000;

async function setUp(t: Test) {
  const opened = await openPasswords(t);
  const { database, find } = opened;
  const owner = await opened.addAccount();
  const eventsOf = (kind: string) => database.select().from(auditEvents).where(eq(auditEvents.kind, kind));
  const canSignIn = async (password: string) => {
    const wish = opened.accounts.signIn({ email: owner.email, password }, visit());
    return wish.then(
      () => true,
      (error: { code: string }) => {
        if (error.code !== 'invalid_credentials') throw error;
        return false;
      },
    );
  };
  const sessionOf = async (generateToken: string) => {
    const session = await find(generateToken);
    if (session === null) throw new Error('the session is not there');
    return session;
  };
  return { ...opened, owner, eventsOf, canSignIn, sessionOf };
}

test('a code of a mail sets a new password: every session ends, and a fresh one starts', async (t) => {
  const { passwords, owner, issue, find, canSignIn, rowOf } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  const before = await rowOf(owner.id);
  const password = makePassword();
  const { user, session } = await passwords.reset({ presented: { link }, password }, visit());
  t.equal(await find(owner.session.generateToken), null);
  t.match(await find(session.generateToken), {
    id: session.id,
    amr: ['pwd'],
    claims: { email_verified: true },
  });
  t.match(user, { id: owner.id, emailVerifiedAt: Date });
  t.match(await rowOf(owner.id), {
    credentialsVersion: before.credentialsVersion + 1,
    claimsVersion: before.claimsVersion + 1,
  });
  t.equal(await canSignIn(owner.password), false);
  t.equal(await canSignIn(password), true);
});

test('a typed code sets a new password as well, however it is typed', async (t) => {
  const { passwords, owner, issue, canSignIn } = await setUp(t);
  const { typed } = await issue(owner, 'reset_password');
  const presented = { email: owner.email, typed: ` ${typed.toLowerCase().replace('-', ' ')}` };
  const password = makePassword();
  await passwords.reset({ presented, password }, visit());
  t.equal(await canSignIn(password), true);
});

test('the owner is told by mail, with a code for the case that it was somebody else', async (t) => {
  const { passwords, owner, issue, mails, database, lastLink } = await setUp(t);
  await database.update(users).set({ locale: 'de' });
  const { link } = await issue(owner, 'reset_password');
  await passwords.reset({ presented: { link }, password: makePassword() }, visit({ acceptLanguage: 'fr' }));
  t.match(mails, [
    {
      template: 'password_changed',
      userId: owner.id,
      to: owner.email,
      locale: 'de',
      data: { goodForMs: 7 * 24 * 60 * MINUTE_MS, at: Date, ip: CLIENT, userAgent: 'Lynx' },
    },
  ]);
  const notMe = lastLink();
  await t.resolves(
    passwords.reset({ presented: { link: notMe }, password: makePassword() }, visit()),
    'and it sets yet another password',
  );
});

test('a reset is recorded, without the code and without the password', async (t) => {
  const { passwords, owner, issue, eventsOf } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  const password = makePassword();
  const { session } = await passwords.reset({ presented: { link }, password }, visit());
  const events = await eventsOf('password.reset');
  t.match(events, [
    {
      userId: owner.id,
      actorId: null,
      sessionId: session.id,
      ip: CLIENT,
      userAgent: 'Lynx',
      details: { code: 'reset_password', was_verified: false },
    },
  ]);
  t.notOk(JSON.stringify(events).includes(link) || JSON.stringify(events).includes(password));
  t.match(await eventsOf('session.ended'), [{ details: { reason: 'password_reset', count: 1 } }]);
});

test('a code sets one password, and those that were sent before are spent with it, but not what undoes changes', async (t) => {
  const { passwords, owner, issue, codes } = await setUp(t);
  const [link, again, verify, change, undo] = [
    await issue(owner, 'reset_password'),
    await issue(owner, 'reset_password'),
    await issue(owner, 'verify_email'),
    await issue(owner, 'change_email'),
    await issue(owner, 'undo_email_change'),
  ];
  await passwords.reset({ presented: link, password: makePassword() }, visit());
  for (const presented of [link, again, verify])
    await t.rejects(passwords.reset({ presented, password: makePassword() }, visit()), {
      code: 'invalid_code',
    });
  await t.rejects(codes.check('change_email', change), { code: 'invalid_code' });
  await t.resolves(codes.check('undo_email_change', undo));
});

test('the password may be the one that was forgotten', async (t) => {
  const { passwords, owner, issue, canSignIn } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  await passwords.reset({ presented: { link }, password: owner.password }, visit());
  t.equal(await canSignIn(owner.password), true);
});

test('a code is not spent by a password that is refused', async (t) => {
  const { passwords, owner, issue } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  for (const password of ['short', owner.email])
    await t.rejects(passwords.reset({ presented: { link }, password }, visit()), {
      code: 'validation_failed',
      errors: [{ path: '/password' }],
    });
  await t.resolves(passwords.reset({ presented: { link }, password: makePassword() }, visit()));
});

test('a wrong code is refused before anything is hashed', async (t) => {
  const { createReplica, owner, issue } = await setUp(t);
  const hashed: string[] = [];
  const { passwords } = createReplica({
    passwords: { hash: async (password) => String(hashed.push(password)) },
  });
  const { typed } = await issue(owner, 'reset_password');
  for (const presented of [
    { link: 'x' },
    { email: owner.email, typed: 'AAAA-AAAA' },
    { email: 'nobody@example.com', typed },
  ])
    await t.rejects(passwords.reset({ presented, password: makePassword() }, visit()), {
      code: 'invalid_code',
    });
  t.same(hashed, []);
});

test('a code to change the address, or to undo something, sets no password', async (t) => {
  const { passwords, owner, issue } = await setUp(t);
  for (const purpose of ['change_email', 'undo_email_change', 'undo_deletion'] as const) {
    const presented = await issue(owner, purpose);
    await t.rejects(passwords.reset({ presented, password: makePassword() }, visit()), {
      code: 'invalid_code',
    });
  }
});

test('after ten minutes a code sets no password', async (t) => {
  const { passwords, owner, issue, passTime } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  await passTime(10 * MINUTE_MS);
  await t.rejects(passwords.reset({ presented: { link }, password: makePassword() }, visit()), {
    code: 'invalid_code',
  });
});

test('a banned account and one with another address by now are refused like a wrong code', async (t) => {
  const { passwords, owner, issue, database, canSignIn } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  const reset = () => passwords.reset({ presented: { link }, password: makePassword() }, visit());
  await database.update(users).set({ status: 'banned' });
  await t.rejects(reset(), { code: 'invalid_code' });
  await database.update(users).set({ status: 'active', email: 'other@example.com' });
  await t.rejects(reset(), { code: 'invalid_code' });
  await database.update(users).set({ email: owner.email });
  t.equal(await canSignIn(owner.password), true, 'nothing was changed');
  await t.resolves(reset());
});

test('a code of an account that was deleted meanwhile is refused', async (t) => {
  const { createReplica, owner, issue, database } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  const { passwords } = createReplica({
    passwords: {
      hash: async () => {
        await database.delete(users);
        return 'hash';
      },
    },
  });
  await t.rejects(passwords.reset({ presented: { link }, password: makePassword() }, visit()), {
    code: 'invalid_code',
  });
});

test('an account that is deleted right after its reset is not signed in', async (t) => {
  const { createReplica, owner, issue } = await setUp(t);
  const { passwords } = createReplica({ accounts: { findById: async () => null } });
  const { link } = await issue(owner, 'reset_password');
  await t.rejects(passwords.reset({ presented: { link }, password: makePassword() }, visit()), {
    code: 'not_signed_in',
  });
});

test('whoever squatted an address keeps nothing after its owner said that it was not them', async (t) => {
  const { passwords, owner, issue, find, canSignIn, rowOf, database, mails } = await setUp(t);
  const deletionDueAt = new Date(Date.now() + MINUTE_MS);
  await database
    .update(users)
    .set({ displayName: 'Mallory', locale: 'xx', metadata: { plan: 'pro' }, deletionDueAt });
  const { link } = await issue(owner, 'verify_email');
  const visitor = visit({ acceptLanguage: 'de' });
  await passwords.reset({ presented: { link }, password: makePassword() }, visitor);
  t.equal(await find(owner.session.generateToken), null);
  t.equal(await canSignIn(owner.password), false);
  t.match(await rowOf(owner.id), {
    emailVerifiedAt: Date,
    displayName: null,
    locale: null,
    metadata: {},
    deletionDueAt: null,
  });
  t.match(mails, [{ locale: 'de' }]);
});

test('a verified account stays verified since when it was, and its tokens from before are void', async (t) => {
  const { passwords, owner, issue, rowOf, database, eventsOf } = await setUp(t);
  await database.update(users).set({ emailVerifiedAt: sql`now() - interval '1 day'`, displayName: 'Ada' });
  const before = await rowOf(owner.id);
  const { link } = await issue(owner, 'reset_password');
  await passwords.reset({ presented: { link }, password: makePassword() }, visit());
  const { emailVerifiedAt, displayName } = before;
  const claimsVersion = before.claimsVersion + 1;
  t.match(await rowOf(owner.id), { emailVerifiedAt, claimsVersion, displayName });
  t.match(await eventsOf('password.reset'), [{ details: { was_verified: true } }]);
});

test('a password that was seen in a leak is forgotten with the password', async (t) => {
  const { passwords, owner, issue, rowOf, database } = await setUp(t);
  await database.update(users).set({ passwordBreachedAt: sql`now()` });
  const { link } = await issue(owner, 'reset_password');
  await passwords.reset({ presented: { link }, password: makePassword() }, visit());
  t.equal((await rowOf(owner.id)).passwordBreachedAt, null);
});

test('an account without a password gets one', async (t) => {
  const { passwords, owner, issue, canSignIn, database } = await setUp(t);
  await database.update(users).set({ passwordHash: null });
  const { link } = await issue(owner, 'reset_password');
  const password = makePassword();
  await passwords.reset({ presented: { link }, password }, visit());
  t.equal(await canSignIn(password), true);
});

test('the session that the browser had, of another user even, ends with a reset', async (t) => {
  const { passwords, owner, issue, find, addAccount } = await setUp(t);
  const other = await addAccount();
  const { link } = await issue(owner, 'reset_password');
  await passwords.reset({ presented: { link }, password: makePassword() }, other.visitor);
  t.equal(await find(other.session.generateToken), null);
});

test('more sessions than one transaction can end all end with a reset', async (t) => {
  const { passwords, owner, issue, database } = await setUp(t);
  await database.execute(sql`insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
    select gen_random_uuid(), ${owner.id}, sha256(n::text::bytea), now() + interval '1 day', now() + interval '1 day'
    from generate_series(1, 1500) as n`);
  const { link } = await issue(owner, 'reset_password');
  const { session } = await passwords.reset({ presented: { link }, password: makePassword() }, visit());
  const open = await database.select().from(sessionRows).where(sql`${sessionRows.endedAt} is null`);
  t.strictSame(
    open.map(({ id }) => id),
    [session.id],
  );
});

test('no sign-in with the old password survives a reset at the same time', async (t) => {
  const { createReplica, owner, issue, accounts, database, find } = await setUp(t);
  const other = createReplica();
  let [{ password }, tried] = [owner, 0];
  for (let round = 0; round < 10; round += 1) {
    const { link } = await issue(owner, 'reset_password');
    const next = makePassword();
    const signIn = ({ signIn }: typeof accounts) => signIn({ email: owner.email, password }, visit());
    const before = [signIn(accounts), signIn(other.accounts)];
    const reset = other.passwords.reset({ presented: { link }, password: next }, visit());
    const outcomes = await Promise.allSettled([...before, signIn(accounts), signIn(other.accounts)]);
    const { session } = await reset;
    const open = await database.select().from(sessionRows).where(sql`${sessionRows.endedAt} is null`);
    t.strictSame(
      open.map(({ id }) => id),
      [session.id],
      `round ${round}`,
    );
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') continue;
      tried += 1;
      t.equal(await find(outcome.value.session.generateToken), null);
    }
    password = next;
  }
  t.comment(`${tried} of 40 sign-ins came before the reset`);
});

test('another password needs the current one, or a session that has just signed in', async (t) => {
  const { passwords, owner, sessionOf, passTime, canSignIn } = await setUp(t);
  const session = await sessionOf(owner.session.generateToken);
  const newPassword = makePassword();
  const change = (currentPassword: string | undefined) =>
    passwords.change(session, { currentPassword, newPassword }, owner.visitor);
  await passTime(11 * MINUTE_MS);
  await t.rejects(change(undefined), { code: 'reauthentication_required' });
  await t.rejects(change(makePassword()), { code: 'invalid_credentials' });
  await t.resolves(change(owner.password));
  t.equal(await canSignIn(newPassword), true);
  t.equal(await canSignIn(owner.password), false);
});

test('a changed password ends all sessions, and the own one is replaced by a fresh one', async (t) => {
  const { passwords, owner, accounts, sessionOf, find, mails, eventsOf } = await setUp(t);
  const elsewhere = await accounts.signIn(owner, visit());
  const own = await sessionOf(owner.session.generateToken);
  const newPassword = makePassword();
  const wish = { currentPassword: undefined, newPassword };
  const { user, session } = await passwords.change(own, wish, owner.visitor);
  t.equal(user.id, owner.id);
  t.equal(user.emailVerifiedAt, null, 'nothing was proved about the address');
  for (const { generateToken } of [owner.session, elsewhere.session])
    t.equal(await find(generateToken), null);
  t.match(await find(session.generateToken), { amr: ['pwd'] });
  t.match(mails, [{ template: 'password_changed', to: owner.email }]);
  t.match(await eventsOf('password.changed'), [
    { userId: owner.id, actorId: owner.id, sessionId: session.id, ip: CLIENT },
  ]);
});

test('a password that is not good is refused by its field when it is changed', async (t) => {
  const { passwords, owner, sessionOf } = await setUp(t);
  const session = await sessionOf(owner.session.generateToken);
  const wish = { currentPassword: undefined, newPassword: 'short' };
  await t.rejects(passwords.change(session, wish, owner.visitor), {
    code: 'validation_failed',
    errors: [{ path: '/new_password' }],
  });
});

test('a change of somebody whose sessions were ended meanwhile is refused', async (t) => {
  const { createReplica, passwords, owner, issue, sessionOf, canSignIn } = await setUp(t);
  const session = await sessionOf(owner.session.generateToken);
  const { link } = await issue(owner, 'reset_password');
  const [owners, thiefs] = [makePassword(), makePassword()];
  const slow = createReplica({
    passwords: {
      hash: async () => {
        await passwords.reset({ presented: { link }, password: owners }, visit());
        return 'hash';
      },
    },
  });
  const wish = { currentPassword: owner.password, newPassword: thiefs };
  await t.rejects(slow.passwords.change(session, wish, owner.visitor), { code: 'not_signed_in' });
  t.equal(await canSignIn(owners), true);
});

test('a change of an account that was banned or deleted meanwhile is refused', async (t) => {
  const { passwords, owner, sessionOf, database } = await setUp(t);
  const session = await sessionOf(owner.session.generateToken);
  const wish = { currentPassword: undefined, newPassword: makePassword() };
  await database.update(users).set({ status: 'banned' });
  await t.rejects(passwords.change(session, wish, owner.visitor), { code: 'not_signed_in' });
  await database.delete(users);
  await t.rejects(passwords.change(session, wish, owner.visitor), { code: 'not_signed_in' });
});

test('the browser that set the password is a known device from then on', async (t) => {
  const { passwords, owner, issue, accounts, eventsOf } = await setUp(t);
  const { link } = await issue(owner, 'reset_password');
  const password = makePassword();
  const { deviceCookie } = await passwords.reset({ presented: { link }, password }, visit());
  t.match(deviceCookie, /^v1\./);
  await accounts.signIn({ email: owner.email, password }, visit({ deviceCookie }));
  t.match(await eventsOf('session.started'), [{ details: { new_device: false } }]);
});

test('a forgotten password is a mail with a code, in the language that the user chose', async (t) => {
  const { passwords, outbox, owner, mails, database, lastLink } = await setUp(t);
  await passwords.forgot(` ${owner.email.toUpperCase()}`, 'fr');
  await outbox.deliverDue();
  t.match(mails, [
    {
      template: 'reset_password',
      userId: owner.id,
      to: owner.email,
      locale: 'fr',
      data: { goodForMs: 10 * MINUTE_MS, link: /^[\w-]{43}$/, code: /^[0-9A-Z]{4}-[0-9A-Z]{4}$/ },
    },
  ]);
  const link = lastLink();
  await t.resolves(passwords.reset({ presented: { link }, password: makePassword() }, visit()));
  await database.update(users).set({ locale: 'de' });
  await passwords.forgot(owner.email, 'fr');
  await outbox.deliverDue();
  t.match(mails.at(-1), { template: 'reset_password', locale: 'de' });
});

test('an unknown address and a banned account get no mail, and no code', async (t) => {
  const { passwords, outbox, owner, mails, database } = await setUp(t);
  await database.update(users).set({ status: 'banned' });
  await passwords.forgot(owner.email, null);
  await passwords.forgot('nobody@example.com', null);
  t.equal(await database.$count(outboxRows), 2, 'the request only writes the wish down');
  await outbox.deliverDue();
  t.same(mails, []);
  t.equal(await database.$count(oneTimeCodes), 0);
  t.equal(await database.$count(outboxRows), 0);
});

test('unverified accounts and those without a password get the mail as well', async (t) => {
  const { passwords, outbox, owner, mails, database } = await setUp(t);
  await database.update(users).set({ passwordHash: null });
  await passwords.forgot(owner.email, null);
  await outbox.deliverDue();
  t.match(mails, [{ template: 'reset_password' }]);
});

test('an address gets no more mails in an hour than it may', async (t) => {
  const { createReplica, owner, mails, passTime } = await setUp(t);
  const { passwords, outbox } = createReplica({ mailsPerHour: 2 });
  const ask = async () => {
    await passwords.forgot(owner.email, null);
    await outbox.deliverDue();
  };
  for (let n = 0; n < 4; n += 1) await ask();
  t.equal(mails.length, 2);
  await passTime(60 * MINUTE_MS);
  await ask();
  t.equal(mails.length, 3);
});

test('a wish that waited for an hour is dropped', async (t) => {
  const taken: unknown[] = [];
  const { deliver } = forgottenPasswordLane(async (wish) => void taken.push(wish));
  const wish = { email: 'ada@example.com', languages: null };
  const delivery = { id: 'any', attempts: 1, signal: new AbortController().signal };
  await deliver(wish, { ...delivery, ageMs: 60 * MINUTE_MS });
  t.same(taken, []);
  await deliver(wish, { ...delivery, ageMs: 60 * MINUTE_MS - 1 });
  t.same(taken, [wish]);
});

test('an address that is none is refused, and where no mails can be sent, so is the wish', async (t) => {
  const { passwords, createReplica, owner, issue, mails } = await setUp(t);
  await t.rejects(passwords.forgot('nobody', null), { code: 'validation_failed' });
  const silent = createReplica({ mail: { isOn: false } });
  await t.rejects(silent.passwords.forgot(owner.email, null), { code: 'not_found', detail: /no mails/ });
  const { link } = await issue(owner, 'reset_password');
  await t.resolves(silent.passwords.reset({ presented: { link }, password: makePassword() }, visit()));
  t.same(mails, [], 'nobody is told');
});

test('a session that a mail told of ends when its owner says that it was not them', async (t) => {
  const { passwords, owner, issue, find, accounts, eventsOf } = await setUp(t);
  const { session: foreign } = await accounts.signIn(owner, visit());
  const code = await issue(owner, 'not_me', { session_id: foreign.id });
  await passwords.disown(code, visit().device);
  t.equal(await find(foreign.generateToken), null);
  t.ok(await find(owner.session.generateToken));
  t.match(await eventsOf('session.disowned'), [
    { userId: owner.id, actorId: null, sessionId: foreign.id, ip: CLIENT },
  ]);
  const reset = passwords.reset({ presented: code, password: makePassword() }, visit());
  await t.resolves(reset, 'the code sets a new password next');
});

test('all sessions end when the mail was about none of them', async (t) => {
  const { passwords, owner, issue, find, eventsOf } = await setUp(t);
  const { typed } = await issue(owner, 'not_me');
  await passwords.disown({ email: owner.email, typed }, visit().device);
  t.equal(await find(owner.session.generateToken), null);
  t.match(await eventsOf('session.disowned'), [{ sessionId: null }]);
  t.match(await eventsOf('session.ended'), [{ actorId: null, details: { reason: 'disowned', count: 1 } }]);
});

test('no other code ends a session', async (t) => {
  const { passwords, owner, issue, find } = await setUp(t);
  for (const purpose of ['reset_password', 'verify_email', 'undo_email_change'] as const)
    await t.rejects(passwords.disown(await issue(owner, purpose), visit().device), { code: 'invalid_code' });
  t.ok(await find(owner.session.generateToken));
});
