import { test } from 'tap';
import { unavailable } from '../../src/core/errors.ts';
import type { Database } from '../../src/db/database.ts';
import { auditEvents, users } from '../../src/db/schema.ts';
import type { Mail } from '../../src/mail/mail.ts';
import { device, email, makePassword, setUp, visit, weak } from '../support/accounts.ts';

/** The audit events, the oldest first. */
const eventsOf = (database: Database) => database.select().from(auditEvents).orderBy(auditEvents.id);

test('signing up is written down, and the device is known from then on', async (t) => {
  const { accounts, database, mails } = await setUp(t);
  const password = makePassword();
  const { user, session, deviceCookie } = await accounts.signUp({ email, password }, visit());
  t.match(await eventsOf(database), [
    { kind: 'account.created', userId: user.id, actorId: user.id, sessionId: session.id, ...device },
  ]);
  const again = await accounts.signIn({ email, password }, visit(null, deviceCookie));
  t.match((await eventsOf(database))[1], {
    kind: 'session.started',
    ...{ userId: user.id, actorId: user.id, sessionId: again.session.id, ...device },
    details: { new_device: false },
  });
  t.same(mails, []);
});

test('a sign-in from a new device is told to the owner, with a code that ends it; the next one is not', async (t) => {
  const { accounts, database, mails, codes } = await setUp(t);
  const password = makePassword();
  const { user } = await accounts.signUp({ email, password }, visit());
  const { session, deviceCookie } = await accounts.signIn({ email, password }, visit());
  await accounts.signIn({ email, password }, visit(null, deviceCookie));
  t.equal(mails.length, 1);
  const [mail] = mails;
  t.match(mail, {
    ...{ template: 'new_device', userId: user.id, to: email, locale: 'de' },
    data: { link: /^[\w-]{43}$/, code: /^\w{4}-\w{4}$/, goodForMs: 7 * 86_400_000, at: Date, ...device },
  });
  const { link } = (mail as Mail).data as { link: string };
  t.match(await codes.check('not_me', { link }), {
    ...{ userId: user.id, context: { session_id: session.id } },
  });
  const details = (await eventsOf(database)).slice(1).map((event) => event.details);
  t.same(details, [{ new_device: true, mail: 'sent' }, { new_device: false }]);
});

test('the mail is in the language that the user chose, if they did', async (t) => {
  const { accounts, database, mails } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  await database.update(users).set({ locale: 'fr' });
  await accounts.signIn({ email, password }, visit());
  t.match(mails, [{ locale: 'fr' }]);
});

test('mails to one address are bounded, and the sign-in goes well without one', async (t) => {
  const { accounts, database, mails, passTime } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  for (let at = 0; at < 4; at += 1) await accounts.signIn({ email, password }, visit());
  t.equal(mails.length, 3);
  t.same((await eventsOf(database)).at(-1)?.details, { new_device: true, mail: 'too_many' });
  await passTime(3_600_000);
  await accounts.signIn({ email, password }, visit());
  t.equal(mails.length, 4);
});

test('without mail, or where it is not wanted, a sign-in from a new device is written down only', async (t) => {
  const { accounts, createService, database, mails } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  for (const changes of [{ mail: { isOn: false } }, { notice: { isWanted: false } }])
    await createService(weak, changes).signIn({ email, password }, visit());
  t.same(mails, []);
  const details = (await eventsOf(database)).slice(1).map((event) => event.details);
  t.same(details, Array(2).fill({ new_device: true, mail: 'off' }));
});

test('a sign-in that cannot be written down starts no session and sends no mail', async (t) => {
  const { accounts, createService, mails, rowsOf } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  const before = await rowsOf();
  const send = async () => {
    throw unavailable(undefined);
  };
  const failing = createService(weak, { mail: { send } });
  await t.rejects(failing.signIn({ email, password }, visit()), { code: 'unavailable' });
  t.same(await rowsOf(), before);
  t.same(mails, []);
});

test('whether a mail is due must be known: the sign-in waits for a database that answers', async (t) => {
  const { accounts, createService } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  const take = async ({ kind }: { kind: string }) => {
    if (kind === 'mail') throw unavailable(undefined);
    return { giveBack: async () => {}, rewrite: async () => {} };
  };
  const blind = createService(weak, { guesses: { take } });
  await t.rejects(blind.signIn({ email, password }, visit()), { code: 'unavailable' });
});

test('strangers lock out a new device, not one that the owner has signed in on', async (t) => {
  const { accounts } = await setUp(t);
  const password = makePassword();
  const { deviceCookie } = await accounts.signUp({ email, password }, visit());
  const guess = () => accounts.signIn({ email, password: makePassword() }, visit());
  for (let at = 0; at < 10; at += 1) await t.rejects(guess(), { code: 'invalid_credentials' });
  await t.rejects(guess(), { code: 'rate_limited' });
  await t.rejects(accounts.signIn({ email, password }, visit()), { code: 'rate_limited' });
  const stranger = await accounts.signUp({ email: 'eve@example.com', password }, visit());
  const strange = visit(null, stranger.deviceCookie);
  await t.rejects(accounts.signIn({ email, password }, strange), { code: 'rate_limited' });
  await t.resolves(accounts.signIn({ email, password }, visit(null, deviceCookie)));
});

test('a banned account has the budget of one that does not exist, even for its own password', async (t) => {
  const { accounts, database } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  await database.update(users).set({ status: 'banned' });
  for (const address of [email, 'nobody@example.com']) {
    const attempt = () => accounts.signIn({ email: address, password }, visit());
    for (let at = 0; at < 10; at += 1) await t.rejects(attempt(), { code: 'invalid_credentials' });
    await t.rejects(attempt(), { code: 'rate_limited' });
  }
});

test('a password, an address or a status that is changed while it is being checked signs nobody in', async (t) => {
  const { accounts, createService, database, rowsOf } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  const before = await rowsOf();
  const changes = [
    { credentialsVersion: 2 },
    { status: 'banned' as const },
    { email: 'ada@new.example.com' },
  ];
  for (const change of changes) {
    const verify = async () => {
      await database.update(users).set(change);
      return true;
    };
    const racing = createService(weak, { passwords: { verify } });
    await t.rejects(racing.signIn({ email, password }, visit()), { code: 'invalid_credentials' });
    await database.update(users).set({ credentialsVersion: 1, status: 'active', email });
  }
  t.same(await rowsOf(), before);
  await t.resolves(accounts.signIn({ email, password }, visit()));
});
