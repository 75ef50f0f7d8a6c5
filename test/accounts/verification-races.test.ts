import { test } from 'tap';
import { outcomeOf } from '../../src/core/channels.ts';
import { and, eq } from '../../src/db/drizzle.ts';
import { auditEvents, oneTimeCodes, sessions, users } from '../../src/db/schema.ts';
import { newSignUp, openSignUps, visitor } from '../support/sign-ups.ts';

const AT_ONCE = 20;

const times = <T>(count: number, work: () => Promise<T>) => Promise.all(Array.from({ length: count }, work));

/** How a piece of work ends. */
const outcome = (work: Promise<unknown>) => work.then(() => 'ok', outcomeOf);

test('of many sign-ups with one address at once, one makes the account, and each sends a mail', async (t) => {
  const { work, database, sent } = await openSignUps(t);
  for (let round = 1; round <= 10; round += 1) {
    const { email } = newSignUp();
    await times(AT_ONCE, () => work.takeSignUp(newSignUp(email)));
    const made = await database.select().from(users).where(eq(users.email, email));
    t.equal(made.length, 1);
    const userId = String(made[0]?.id);
    t.equal(await database.$count(auditEvents, eq(auditEvents.userId, userId)), 1);
    const codes = await database.select().from(oneTimeCodes).where(eq(oneTimeCodes.userId, userId));
    t.equal(codes.length, AT_ONCE);
    const browsers = new Set(codes.map(({ browserHash }) => browserHash?.toString('hex')));
    t.equal(browsers.size, 1, 'all are bound to the browser whose password the account has');
    t.equal(sent.filter(({ to, template }) => to === email && template === 'verify_email').length, AT_ONCE);
  }
});

test('of many uses of one code at once, one verifies and starts a session', async (t) => {
  const { work, verification, database, lastLinkTo } = await openSignUps(t);
  for (let round = 1; round <= 10; round += 1) {
    const signUp = newSignUp();
    await work.takeSignUp(signUp);
    const code = lastLinkTo(signUp.email);
    const proof = { session: null, browserHash: signUp.secretHash, password: undefined };
    const outcomes = await times(AT_ONCE, () => outcome(verification.verify({ code }, proof, visitor)));
    t.same(outcomes.sort(), [...Array(AT_ONCE - 1).fill('invalid_code'), 'ok']);
    t.equal(await database.$count(sessions, eq(sessions.userId, signUp.id)), 1);
    const isVerification = and(eq(auditEvents.userId, signUp.id), eq(auditEvents.kind, 'email.verified'));
    t.equal(await database.$count(auditEvents, isVerification), 1);
  }
});

for (const [name, change] of [
  ['has set a new password', { credentialsVersion: 2 }],
  ['was banned', { status: 'banned' }],
  ['has another address', { email: 'other@example.com' }],
] as const) {
  test(`a password that is right does not verify when the account ${name} in the meantime`, async (t) => {
    const world = await openSignUps(t);
    const { work, database, transact, codes, lastLinkTo } = world;
    const signUp = newSignUp();
    await work.takeSignUp(signUp);
    const verification = world.verificationWith({
      passwordCheck: {
        matches: async () => {
          await transact(async (transaction) => {
            await transaction.database.update(users).set(change).where(eq(users.id, signUp.id));
            if ('credentialsVersion' in change) await codes.spendAll(transaction, signUp.id);
          });
          return true;
        },
      },
    });
    const code = lastLinkTo(signUp.email);
    const proof = { session: null, browserHash: null, password: 'right' };
    t.equal(await outcome(verification.verify({ code }, proof, visitor)), 'invalid_code');
    t.equal(await database.$count(sessions), 0);
    t.equal((await database.select().from(users))[0]?.emailVerifiedAt, null);
  });
}
