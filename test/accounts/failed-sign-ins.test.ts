import { test } from 'tap';
import { AppError } from '../../src/core/errors.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { auditEvents, users } from '../../src/db/schema.ts';
import { device, makeEmail, makePassword, openAccounts } from '../support/whole-accounts.ts';

const visitor = {
  device: { ...device, requestId: 'request-1' },
  ...{ generateToken: null, deviceCookie: null, acceptLanguage: null },
};

const refused = { code: 'invalid_credentials', detail: undefined };

type Room = Awaited<ReturnType<typeof openAccounts>>;

/** The failures that have been written, the oldest first. */
async function failuresOf({ writeEvents, database }: Room) {
  await writeEvents();
  return database
    .select()
    .from(auditEvents)
    .where(eq(auditEvents.kind, 'sign_in.failed'))
    .orderBy(auditEvents.id);
}

test('a refused sign-in is in the audit with the reason that the user is not told', async (t) => {
  const room = await openAccounts(t);
  const { accounts, database, signUp } = room;
  const ada = await signUp();
  const { id } = ada.user;
  const guess = (email: string, password: string) =>
    t.rejects(accounts.service.signIn({ email, password }, visitor), refused);
  await guess(ada.email, makePassword());
  await database.update(users).set({ passwordHash: null }).where(eq(users.id, id));
  await guess(ada.email, ada.password);
  await database.update(users).set({ status: 'banned', bannedAt: sql`now()` }).where(eq(users.id, id));
  await guess(ada.email, ada.password);
  const stranger = makeEmail();
  await guess(stranger, makePassword());
  await guess(stranger.toUpperCase(), makePassword());

  const events = await failuresOf(room);
  const seen = { actorId: null, actorKind: null, ip: device.ip, userAgent: 'Lynx', requestId: 'request-1' };
  t.match(events, [
    { ...seen, userId: id, details: { reason: 'wrong_password' } },
    { ...seen, userId: id, details: { reason: 'no_password' } },
    { ...seen, userId: id, details: { reason: 'banned' } },
    { ...seen, userId: null, details: { reason: 'unknown_address', address: /^[\w-]{43}$/ } },
    { ...seen, userId: null, details: { reason: 'unknown_address' } },
  ]);
  t.equal(events[3]?.details?.address, events[4]?.details?.address, 'one address has one pseudonym');
  t.notOk(JSON.stringify(events).toLowerCase().includes(stranger), 'what was typed is nowhere');
});

test('an address that must be verified first, and an account that changes meanwhile', async (t) => {
  const room = await openAccounts(t, { EMAIL_VERIFICATION: 'required' });
  const { accounts, database, transact } = room;
  const open = await openAccounts(t);
  const ada = await open.signUp();
  await t.rejects(accounts.service.signIn(ada, visitor), refused);

  await database.update(users).set({ emailVerifiedAt: sql`now()` });
  const locked = Promise.withResolvers<void>();
  const change = Promise.withResolvers<void>();
  const changing = transact(async (transaction) => {
    await transaction.database.update(users).set({ credentialsVersion: 99 });
    locked.resolve();
    await change.promise;
  });
  await locked.promise;
  const signingIn = t.rejects(accounts.service.signIn(ada, visitor), refused);
  // It stands behind the change now: its password was right.
  for (let waits = 0; waits === 0; )
    waits = Number(
      [...((await database.execute(sql`select 1 from pg_locks where not granted`)) as Iterable<unknown>)]
        .length,
    );
  change.resolve();
  await Promise.all([changing, signingIn]);
  t.match(await failuresOf(room), [
    { details: { reason: 'not_verified' } },
    { details: { reason: 'account_changed' } },
  ]);
});

test('too many guesses are one reason more, and so is a wrong password of somebody signed in', async (t) => {
  const room = await openAccounts(t);
  const { accounts, signUp } = room;
  const ada = await signUp();
  const session = ada.session;
  const wish = { currentPassword: makePassword(), newPassword: makePassword() };
  await t.rejects(accounts.passwords.change(session, wish, visitor), refused);
  const wrong = { email: ada.email, password: makePassword() };
  for (let guesses = 0; guesses < 10; guesses += 1)
    await t.rejects(accounts.service.signIn(wrong, visitor), refused);
  for (let guesses = 0; guesses < 3; guesses += 1)
    await t.rejects(accounts.service.signIn(wrong, visitor), { code: 'rate_limited' });
  const [first, ...others] = await failuresOf(room);
  t.match(first, {
    ...{ userId: ada.user.id, actorId: ada.user.id, actorKind: 'user', sessionId: session.id },
    ...{ ip: visitor.device.ip, userAgent: visitor.device.userAgent, requestId: visitor.device.requestId },
    details: { reason: 'wrong_password', step: 'confirmation' },
  });
  t.match(others.at(-1), { userId: ada.user.id, details: { reason: 'too_many_guesses' } });
  t.equal(others.length, 11, 'of those that are too many, one');
});

test('what is no guess is no failure', async (t) => {
  const room = await openAccounts(t);
  const { accounts, signUp } = room;
  const ada = await signUp();
  await accounts.service.signIn(ada, visitor);
  await t.rejects(accounts.service.signIn({ email: 'no address', password: 'x' }, visitor), AppError);
  t.same(await failuresOf(room), []);
});

test('of an account that was deleted meanwhile, nothing is written', async (t) => {
  const room = await openAccounts(t);
  const { accounts, database, signUp, writeEvents } = room;
  const [ada, bob] = [await signUp(), await signUp()];
  for (const { email } of [ada, bob])
    await t.rejects(accounts.service.signIn({ email, password: makePassword() }, visitor), refused);
  await database.delete(users).where(eq(users.id, ada.user.id));
  await writeEvents();
  t.match(await failuresOf(room), [{ userId: bob.user.id }]);
});
