import { hashSync } from '@node-rs/argon2';
import { test } from 'tap';
import { AppError, unavailable } from '../../src/core/errors.ts';
import { users } from '../../src/db/schema.ts';
import { createGenerateToken } from '../../src/sessions/generate-token.ts';
import { client, email, makePassword, setUp, strong, visit, WEAK, weak } from '../support/accounts.ts';

const failingStart = {
  start: async () => {
    throw unavailable(undefined);
  },
};

test('signing up makes an account and a session', async (t) => {
  const { accounts, sessions, hashOf, hashed } = await setUp(t);
  const password = makePassword();
  const { user, session } = await accounts.signUp({ email: ' Ada@EXAMPLE.com ', password }, visit());
  t.match(user, { email, emailAsTyped: 'Ada@EXAMPLE.com', status: 'active', emailVerifiedAt: null });
  t.notOk('passwordHash' in user);
  t.match(await sessions.find(session.generateToken, client), {
    id: session.id,
    userId: user.id,
    claims: { email },
  });
  t.match(await hashOf(), /^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
  t.same(hashed, [password]);
});

test('a bad address or password is told by its field, before anything is hashed', async (t) => {
  const { accounts, hashed, verified, rowsOf } = await setUp(t);
  const attempts = [
    { credentials: { email: 'ada', password: makePassword() }, path: '/email' },
    { credentials: { email, password: 'short' }, path: '/password' },
    { credentials: { email, password: 'password1234' }, path: '/password' },
    { credentials: { email, password: 'Example2024' }, path: '/password' },
  ];
  for (const { credentials, path } of attempts) {
    await t.rejects(accounts.signUp(credentials, visit()), { code: 'validation_failed', errors: [{ path }] });
  }
  await t.rejects(accounts.signIn({ email: 'ada', password: 'x' }, visit()), { code: 'validation_failed' });
  t.same([hashed, verified], [[], []]);
  t.same(await rowsOf(), { users: 0, sessions: 0 });
});

test('an address that is taken, in whatever spelling, is refused and the cookie of before still holds', async (t) => {
  const { accounts, sessions, rowsOf } = await setUp(t);
  const { session } = await accounts.signUp({ email, password: makePassword() }, visit());
  for (const spelling of [email, 'ADA@example.com', ' ada@EXAMPLE.COM']) {
    const again = accounts.signUp(
      { email: spelling, password: makePassword() },
      visit(session.generateToken),
    );
    await t.rejects(again, { code: 'email_taken' });
  }
  t.match(await sessions.find(session.generateToken, client), { id: session.id });
  t.same(await rowsOf(), { users: 1, sessions: 1 });
});

test('one of 20 parallel sign-ups with one address wins, the others are told that it is taken', async (t) => {
  const { accounts, rowsOf } = await setUp(t);
  const attempts = Array.from({ length: 20 }, () =>
    accounts.signUp({ email, password: makePassword() }, visit()),
  );
  const outcomes = await Promise.allSettled(attempts);
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  t.equal(failures.length, 19);
  t.ok(failures.every(({ reason }) => reason instanceof AppError && reason.code === 'email_taken'));
  t.same(await rowsOf(), { users: 1, sessions: 1 });
});

test('a sign-up whose session cannot be started leaves no account, and ends nothing', async (t) => {
  const { accounts, createService, sessions, rowsOf } = await setUp(t);
  const { session } = await accounts.signUp({ email: 'bob@example.com', password: makePassword() }, visit());
  const failing = createService(weak, { sessions: failingStart });
  const credentials = { email, password: makePassword() };
  await t.rejects(failing.signUp(credentials, visit(session.generateToken)), { code: 'unavailable' });
  t.same(await rowsOf(), { users: 1, sessions: 1 });
  t.match(await sessions.find(session.generateToken, client), { id: session.id });
  await t.resolves(accounts.signUp(credentials, visit()));
});

test('signing in starts a session', async (t) => {
  const { accounts, sessions, verified } = await setUp(t);
  const password = makePassword();
  const { user } = await accounts.signUp({ email, password }, visit());
  const { user: same, session } = await accounts.signIn({ email: 'ADA@example.com', password }, visit());
  t.strictSame(same, user);
  t.match(await sessions.find(session.generateToken, client), { id: session.id, userId: user.id });
  t.equal(verified.length, 1);
});

test('the session of a cookie sent along ends with the sign-in or sign-up that replaces it', async (t) => {
  const { accounts, sessions } = await setUp(t);
  const password = makePassword();
  const first = await accounts.signUp({ email, password }, visit());
  t.ok(await sessions.find(first.session.generateToken, client));
  const second = await accounts.signIn({ email, password }, visit(first.session.generateToken));
  t.equal(await sessions.find(first.session.generateToken, client), null);
  const bob = { email: 'bob@example.com', password: makePassword() };
  await accounts.signUp(bob, visit(second.session.generateToken));
  t.equal(await sessions.find(second.session.generateToken, client), null);
});

test('a sign-in whose session cannot be started ends nothing', async (t) => {
  const { accounts, createService, sessions } = await setUp(t);
  const password = makePassword();
  const { session } = await accounts.signUp({ email, password }, visit());
  const failing = createService(weak, { sessions: failingStart });
  await t.rejects(failing.signIn({ email, password }, visit(session.generateToken)), { code: 'unavailable' });
  t.match(await sessions.find(session.generateToken, client), { id: session.id });
});

test('a cookie that is no session of anybody is no hindrance', async (t) => {
  const { accounts } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit('garbage'));
  await t.resolves(accounts.signIn({ email, password }, visit(createGenerateToken())));
});

test('of 20 parallel sign-ins with one old cookie each starts a session, and the old one ends', async (t) => {
  const { accounts, sessions } = await setUp(t);
  const password = makePassword();
  const { user, session } = await accounts.signUp({ email, password }, visit());
  const visitor = visit(session.generateToken);
  await Promise.all(Array.from({ length: 20 }, () => accounts.signIn({ email, password }, visitor)));
  t.equal((await sessions.list(user.id, { limit: 100 })).sessions.length, 20);
  t.equal(await sessions.find(session.generateToken, client), null);
});

test('a wrong password, an unknown address and a banned user get the same answer for one hash each', async (t) => {
  const { accounts, database, verified, hashed, hashOf, rowsOf } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  hashed.length = 0;
  const tellAll = async (attempt: Promise<unknown>) => {
    const error = await attempt.catch((cause: unknown) => cause);
    const { code, message, detail, errors, cause } = error as AppError;
    return { code, message, detail, errors, cause };
  };
  const wrong = await tellAll(accounts.signIn({ email, password: makePassword() }, visit()));
  const unknown = await tellAll(accounts.signIn({ email: 'bob@example.com', password }, visit()));
  await database.update(users).set({ status: 'banned' });
  const banned = await tellAll(accounts.signIn({ email, password }, visit()));
  t.equal(wrong.code, 'invalid_credentials');
  t.strictSame(unknown, wrong);
  t.strictSame(banned, wrong);
  const phc = await hashOf();
  // No password is right for a banned user: it is as if there were none.
  t.strictSame(verified, [phc, null, null]);
  t.same(hashed, []);
  t.equal((await rowsOf()).sessions, 1);
});

test('a failed sign-in leaves the session of the cookie alone', async (t) => {
  const { accounts, sessions } = await setUp(t);
  const { session } = await accounts.signUp({ email, password: makePassword() }, visit());
  const attempt = accounts.signIn({ email, password: makePassword() }, visit(session.generateToken));
  await t.rejects(attempt, { code: 'invalid_credentials' });
  t.match(await sessions.find(session.generateToken, client), { id: session.id });
});

test('a hash gets stronger at the next sign-in after the setting was raised, and never weaker', async (t) => {
  const { accounts, createService, hashOf } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  const atFirst = await hashOf();
  await accounts.signIn({ email, password }, visit());
  t.equal(await hashOf(), atFirst);
  await createService(strong).signIn({ email, password }, visit());
  const raised = await hashOf();
  t.match(raised, /^\$argon2id\$v=19\$m=128,t=2,p=1\$/);
  await accounts.signIn({ email, password }, visit());
  t.equal(await hashOf(), raised);
});

test('a password typed with special spaces signs in with plain ones, and the hash of before gets the new form', async (t) => {
  const { accounts, accountStore, hashOf } = await setUp(t);
  const plain = `${makePassword()} ${makePassword()}`;
  const onMac = plain.replace(' ', '\u00a0');
  const { user } = await accounts.signUp({ email, password: onMac }, visit());
  await accounts.signIn({ email, password: plain }, visit());
  const before = hashSync(onMac, { memoryCost: WEAK.memoryKib, timeCost: WEAK.iterations, parallelism: 1 });
  await accountStore.replacePasswordHash(user.id, (await hashOf()) ?? '', before);
  await t.rejects(accounts.signIn({ email, password: plain }, visit()), { code: 'invalid_credentials' });
  t.equal(await hashOf(), before);
  await accounts.signIn({ email, password: onMac }, visit());
  t.not(await hashOf(), before);
  await accounts.signIn({ email, password: plain }, visit());
});

test('a wrong password strengthens nothing', async (t) => {
  const { accounts, createService, hashOf } = await setUp(t);
  await accounts.signUp({ email, password: makePassword() }, visit());
  const before = await hashOf();
  await t.rejects(createService(strong).signIn({ email, password: makePassword() }, visit()));
  t.equal(await hashOf(), before);
});

test('a stronger hash does not overwrite a password that was changed meanwhile', async (t) => {
  const { accounts, createService, accountStore, hashOf } = await setUp(t);
  const password = makePassword();
  const { user } = await accounts.signUp({ email, password }, visit());
  const racing = createService(strong, {
    passwords: {
      hash: async (text) => {
        await accountStore.replacePasswordHash(user.id, (await hashOf()) ?? '', 'changed');
        return strong.hash(text);
      },
    },
  });
  await racing.signIn({ email, password }, visit());
  t.equal(await hashOf(), 'changed');
});

test('a stronger hash that cannot be made or stored does not fail the sign-in', async (t) => {
  const { accounts, createService, sessions, rehashErrors, hashOf } = await setUp(t);
  const password = makePassword();
  await accounts.signUp({ email, password }, visit());
  const before = await hashOf();
  const failure = new AppError('overloaded');
  const fail = async () => {
    throw failure;
  };
  for (const changes of [{ passwords: { hash: fail } }, { store: { replacePasswordHash: fail } }]) {
    const { session } = await createService(strong, changes).signIn({ email, password }, visit());
    t.ok(await sessions.find(session.generateToken, client));
  }
  t.same(rehashErrors, [failure, failure]);
  t.equal(await hashOf(), before);
});

test('where nobody has time to check a password, nothing else is looked at either', async (t) => {
  const { createService } = await setUp(t);
  const requireRoom = async () => {
    throw new AppError('overloaded');
  };
  const findByEmail = () => t.fail('must not be asked') as never;
  const busy = createService(weak, { passwords: { requireRoom }, store: { findByEmail } });
  for (const address of [email, 'nobody']) {
    const credentials = { email: address, password: makePassword() };
    await t.rejects(busy.signIn(credentials, visit()), { code: 'overloaded' });
    await t.rejects(busy.signUp(credentials, visit()), { code: 'overloaded' });
  }
});

test('what cannot be known is no wrong password', async (t) => {
  const { createService, verified } = await setUp(t);
  const fail = async () => {
    throw unavailable(undefined);
  };
  const blind = createService(weak, { store: { findByEmail: fail } });
  await t.rejects(blind.signIn({ email, password: makePassword() }, visit()), { code: 'unavailable' });
  t.same(verified, []);
  const busy = createService(weak, { passwords: { verify: fail, hash: fail } });
  await t.rejects(busy.signIn({ email, password: makePassword() }, visit()), { code: 'unavailable' });
  await t.rejects(busy.signUp({ email, password: makePassword() }, visit()), { code: 'unavailable' });
});

test('an account is found by its id, until it is gone', async (t) => {
  const { accounts, database } = await setUp(t);
  const { user } = await accounts.signUp({ email, password: makePassword() }, visit());
  t.strictSame(await accounts.getUser(user.id), user);
  await database.delete(users);
  await t.rejects(accounts.getUser(user.id), { code: 'not_signed_in' });
});
