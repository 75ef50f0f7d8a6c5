import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import { createMailLimit } from '../../src/accounts/mail-limit.ts';
import { createSignUpWork } from '../../src/accounts/sign-up-work.ts';
import { outcomeOf } from '../../src/core/channels.ts';
import { unavailable } from '../../src/core/errors.ts';
import { eq } from '../../src/db/drizzle.ts';
import { auditEvents, oneTimeCodes, users } from '../../src/db/schema.ts';
import { newSignUp, openSignUps, visitor } from '../support/sign-ups.ts';

const outcome = (work: Promise<unknown>) => work.then(() => 'ok', outcomeOf);

test('a sign-up that is delivered twice makes one account and one mail', async (t) => {
  const { work, database, sent } = await openSignUps(t);
  const signUp = newSignUp();
  await work.takeSignUp(signUp);
  await work.takeSignUp(signUp);
  t.equal(await database.$count(users), 1);
  t.match(sent, [{ template: 'verify_email', to: signUp.email, userId: signUp.id, locale: 'de' }]);
  t.equal(sent.length, 1);
  t.match(await database.select().from(auditEvents), [{ kind: 'account.created', userId: signUp.id }]);
});

test('nobody gets a mail for the address of a banned account, or for none', async (t) => {
  const { work, database, sent } = await openSignUps(t);
  const { email } = newSignUp();
  await work.takeWish({ email, languages: null });
  await work.takeSignUp(newSignUp(email));
  await database.update(users).set({ status: 'banned' });
  await work.takeSignUp(newSignUp(email));
  await work.takeWish({ email, languages: null });
  t.equal(sent.length, 1, 'only the one from before the ban');
});

test('no account is made for an address that is kept for somebody else, and no mail is sent', async (t) => {
  const { sent, ...parts } = await openSignUps(t);
  const accounts = { ...parts.accounts, insert: async () => null };
  await createSignUpWork({ ...parts, accounts }).takeSignUp(newSignUp());
  t.equal(sent.length, 0);
});

test('a verified address gets another mail than one that is not, and a wish none', async (t) => {
  const { work, database, sent } = await openSignUps(t);
  const { email } = newSignUp();
  await work.takeSignUp(newSignUp(email));
  await work.takeSignUp(newSignUp(email));
  await work.takeWish({ email, languages: null });
  await database.update(users).set({ emailVerifiedAt: new Date() });
  await work.takeSignUp(newSignUp(email));
  await work.takeWish({ email, languages: null });
  t.same(
    sent.map(({ template }) => template),
    ['verify_email', 'verify_email', 'verify_email', 'known_address'],
  );
  const purposes = await database.select({ purpose: oneTimeCodes.purpose }).from(oneTimeCodes);
  t.equal(purposes.filter(({ purpose }) => purpose === 'reset_password').length, 1);
});

test('a mail is in the language that the user chose, if there is one', async (t) => {
  const { work, database, sent } = await openSignUps(t);
  const { email } = newSignUp();
  await work.takeSignUp(newSignUp(email));
  await database.update(users).set({ locale: 'en' });
  await work.takeWish({ email, languages: 'fr' });
  t.same(
    sent.map(({ locale }) => locale),
    ['de', 'en'],
  );
});

test('beyond MAILS_PER_ADDRESS the account is made, and no mail is sent', async (t) => {
  const { work, database, sent, passTime } = await openSignUps(t, 1);
  const { email } = newSignUp();
  await work.takeWish({ email, languages: null });
  await work.takeSignUp(newSignUp(email));
  t.equal(await database.$count(users), 1);
  await work.takeWish({ email, languages: null });
  t.equal(sent.length, 0);
  await passTime(3_600_000);
  await work.takeWish({ email, languages: null });
  t.equal(sent.length, 1);
});

test('a limit that cannot be asked is no limit that is reached', async (t) => {
  const guesses = { take: () => Promise.reject(unavailable(undefined)) };
  await t.rejects(createMailLimit(guesses, 1).tryTake('ada@example.com'), { code: 'unavailable' });
});

test('the code of a user who is gone, or banned since, verifies nothing', async (t) => {
  const { work, verification, database, lastLinkTo } = await openSignUps(t);
  const signUp = newSignUp();
  await work.takeSignUp(signUp);
  const code = lastLinkTo(signUp.email);
  const proof = { session: null, browserHash: signUp.secretHash, password: undefined };
  await database.update(users).set({ status: 'banned' });
  t.equal(await outcome(verification.verify({ code }, proof, visitor)), 'invalid_code');
  await database.update(users).set({ status: 'active', email: 'new@example.com' });
  t.equal(await outcome(verification.verify({ code }, proof, visitor)), 'invalid_code');
  await database.update(users).set({ email: signUp.email });
  t.equal(await outcome(verification.verify({ code }, proof, visitor)), 'ok');
});

test('the claims change with the verification, for sessions that the cache knows as well', async (t) => {
  const { work, verification, accounts, transact, sessions, lastLinkTo } = await openSignUps(t);
  const signUp = newSignUp();
  await work.takeSignUp(signUp);
  const old = await transact((transaction) => sessions.start(transaction, signUp.id, visitor.device));
  t.match(await sessions.find(old.generateToken, '192.0.2.1'), { claims: { email_verified: false } });
  const proof = { session: null, browserHash: signUp.secretHash, password: undefined };
  const { session } = await verification.verify({ code: lastLinkTo(signUp.email) }, proof, visitor);
  t.not(session, null);
  t.match(await sessions.find(old.generateToken, '192.0.2.1'), { claims: { email_verified: true } });
  t.not((await accounts.findById(signUp.id))?.emailVerifiedAt, null);
});

test('another browser, no browser, and the session of somebody else prove nothing', async (t) => {
  const { work, verification, transact, sessions, lastLinkTo } = await openSignUps(t);
  const [signUp, other] = [newSignUp(), newSignUp()];
  await work.takeSignUp(other);
  await work.takeSignUp(signUp);
  const code = lastLinkTo(signUp.email);
  const { generateToken } = await transact((one) => sessions.start(one, other.id, visitor.device));
  const theirs = await sessions.find(generateToken, '192.0.2.1');
  for (const proof of [
    { session: null, browserHash: other.secretHash, password: undefined },
    { session: null, browserHash: null, password: undefined },
    { session: theirs, browserHash: null, password: undefined },
    { session: null, browserHash: null, password: 'wrong' },
  ])
    t.equal(await outcome(verification.verify({ code }, proof, visitor)), 'password_required');
  const password = signUp.passwordHash;
  const proof = { session: theirs, browserHash: null, password };
  t.equal(await outcome(verification.verify({ code }, proof, visitor)), 'ok');
});

test('in a browser that the owner has signed in with, the password is counted for that browser', async (t) => {
  const { work, verificationWith, transact, applicants, mails, lastLinkTo } = await openSignUps(t);
  const signUp = newSignUp();
  await work.takeSignUp(signUp);
  const knownAs: (string | null)[] = [];
  const verification = verificationWith({
    passwordCheck: {
      matches: async (guess) => {
        knownAs.push(guess.knownAs);
        return true;
      },
    },
  });
  const proof = { session: null, browserHash: null, password: signUp.passwordHash };
  const verify = (deviceCookie: string | null) =>
    verification.verify({ code: lastLinkTo(signUp.email) }, proof, { ...visitor, deviceCookie });
  const { deviceCookie } = await verify(null);
  await transact(async (transaction) => {
    const to = await applicants.findById(transaction, signUp.id);
    if (to !== null) await mails.askAgain(transaction, to, null);
  });
  await verify(deviceCookie);
  t.same(knownAs, [null, deviceCookie.split('.')[1]]);
});

test('a code that verified an address already, by another one, still needs proof and changes no time', async (t) => {
  const { work, verification, database, mails, transact, applicants, lastLinkTo } = await openSignUps(t);
  const signUp = newSignUp();
  await work.takeSignUp(signUp);
  const proof = { session: null, browserHash: signUp.secretHash, password: undefined };
  await verification.verify({ code: lastLinkTo(signUp.email) }, proof, visitor);
  const [before] = await database.select().from(users);
  await transact(async (transaction) => {
    const to = await applicants.findById(transaction, signUp.id);
    if (to !== null) await mails.askAgain(transaction, to, null);
  });
  const code = lastLinkTo(signUp.email);
  t.equal(
    await outcome(verification.verify({ code }, proof, visitor)),
    'password_required',
    'spent with the first',
  );
  const { passwordHash: password } = signUp;
  await verification.verify({ code }, { ...proof, password }, visitor);
  const [after] = await database.select().from(users).where(eq(users.id, signUp.id));
  t.same(after?.emailVerifiedAt, before?.emailVerifiedAt);
});

test('a mail that cannot be asked for is told to the operator, and the refusal is the same', async (t) => {
  const errors: unknown[] = [];
  const world = await openSignUps(t);
  const failure = new Error('no');
  const verification = world.verificationWith({
    lane: { send: () => Promise.reject(failure) },
    onAskError: (error) => void errors.push(error),
  });
  const signUp = newSignUp();
  await world.work.takeSignUp(signUp);
  const user = await world.accounts.findById(signUp.id);
  if (user === null) throw new Error('no account');
  t.throws(() => verification.requireVerified(user, visitor), { code: 'invalid_credentials' });
  while (errors.length === 0) await turn();
  t.same(errors, [failure]);
  verification.requireVerified({ ...user, emailVerifiedAt: new Date() }, visitor);
  world.verificationWith({ isRequired: false }).requireVerified(user, visitor);
});

test('a session whose account is gone gets no mail', async (t) => {
  const { work, verification, transact, sessions, database } = await openSignUps(t);
  const signUp = newSignUp();
  await work.takeSignUp(signUp);
  const { generateToken } = await transact((one) => sessions.start(one, signUp.id, visitor.device));
  const session = await sessions.find(generateToken, '192.0.2.1');
  if (session === null) throw new Error('no session');
  await database.delete(users);
  await t.rejects(verification.sendOwn(session, null), { code: 'not_signed_in' });
});
