import { type Test, test } from 'tap';
import { createLeakStore } from '../../src/accounts/leak-store.ts';
import { createLeakWatch } from '../../src/accounts/leak-watch.ts';
import { unavailable } from '../../src/core/errors.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import { device, makeEmail, makePassword, openAccounts } from '../support/account-replica.ts';
import { openRangeServer } from '../support/range-server.ts';

async function setUp(t: Test) {
  const server = await openRangeServer(t);
  const opened = await openAccounts(t, { PWNED_PASSWORDS_URL: server.url });
  const { accounts, database } = opened;
  const flagOf = async (userId: string) => {
    const [row] = await database
      .select({ at: users.passwordBreachedAt })
      .from(users)
      .where(eq(users.id, userId));
    return row?.at ?? null;
  };
  const foundLeaked = async (userId: string) =>
    (await opened.eventsOf(userId)).filter(({ kind }) => kind === 'password.found_leaked');
  /** Signs in, and waits until all look-ups have ended. */
  const signIn = async (email: string, password: string) => {
    const signedIn = await opened.signIn(email, password);
    await accounts.leakWatch.close();
    return signedIn;
  };
  return { ...opened, server, flagOf, foundLeaked, signIn };
}

test('a leaked password is refused at sign-up, with the reason', async (t) => {
  const { signUp, server } = await setUp(t);
  const password = makePassword();
  server.leak(password);
  await t.rejects(signUp(makeEmail(), password), {
    code: 'validation_failed',
    errors: [{ path: '/password', message: /^This password is in a list of passwords that were stolen/ }],
  });
  t.ok(await signUp());
});

test('a password that leaked later is noted at the next sign-in, once, and signs in', async (t) => {
  const { signUp, signIn, server, flagOf, foundLeaked } = await setUp(t);
  const { email, password, user } = await signUp();
  await signIn(email, password);
  t.equal(await flagOf(user.id), null);
  server.leak(password);
  const { session } = await signIn(email, password);
  const noted = await flagOf(user.id);
  t.ok(noted);
  await signIn(email, password);
  t.strictSame(await flagOf(user.id), noted);
  const events = await foundLeaked(user.id);
  t.equal(events.length, 1);
  t.match(events[0], { actorId: user.id, sessionId: session.id, ip: device.ip });
});

test('nobody is asked about a wrong password, or for an unknown address', async (t) => {
  const { signUp, signIn, server } = await setUp(t);
  const { email } = await signUp();
  const asked = server.requests.length;
  await t.rejects(signIn(email, makePassword()), { code: 'invalid_credentials' });
  await t.rejects(signIn(makeEmail(), makePassword()), { code: 'invalid_credentials' });
  t.equal(server.requests.length, asked);
});

test('a sign-in does not wait for an answer', async (t) => {
  const opened = await setUp(t);
  const { email, password } = await opened.signUp();
  const { promise: isAsked, resolve } = Promise.withResolvers<void>();
  const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>();
  opened.server.answerWith(async (response) => {
    resolve();
    await mayAnswer;
    response.end();
  });
  // It would never end, if it did.
  await opened.accounts.service.signIn(
    { email, password },
    { device, generateToken: null, deviceCookie: null, acceptLanguage: null },
  );
  await isAsked;
  answer();
});

test('a password that was changed meanwhile is not noted', async (t) => {
  const { signUp, signIn, server, flagOf, database, foundLeaked } = await setUp(t);
  const { email, password, user } = await signUp();
  const version = sql`${users.credentialsVersion} + 1`;
  server.answerWith(async (response, request) => {
    await database.update(users).set({ credentialsVersion: version }).where(eq(users.id, user.id));
    server.leak(password);
    server.answerRange(response, request);
  });
  await signIn(email, password);
  t.equal(await flagOf(user.id), null);
  t.strictSame(await foundLeaked(user.id), []);
});

test('what cannot be written down is told, and no more than 100 are looked up at a time', async (t) => {
  const { transact, audit, signUp } = await setUp(t);
  const { user } = await signUp();
  const errors: unknown[] = [];
  let asked = 0;
  const { promise: isLeaked, resolve } = Promise.withResolvers<boolean>();
  const lookUp = () => {
    asked += 1;
    return isLeaked;
  };
  const down = unavailable(new Error('the database is down'));
  const watch = createLeakWatch({
    ...{ leaked: { isOn: true, isLeaked: lookUp }, store: createLeakStore(), audit },
    transact: (work) => (errors.length < 99 ? Promise.reject(down) : transact(work)),
    onError: (error) => void errors.push(error),
  });
  const signIn = { sessionId: user.id, device };
  for (let i = 0; i < 101; i += 1) watch.look({ id: user.id, credentialsVersion: 1 }, makePassword(), signIn);
  t.equal(asked, 100);
  resolve(true);
  await watch.close();
  t.strictSame(new Set(errors), new Set([down]));
});
