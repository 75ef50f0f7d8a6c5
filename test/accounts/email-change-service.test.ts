import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { emailChangeAskedLane } from '../../src/accounts/email-change-asked.ts';
import { createEmailChangeStore } from '../../src/accounts/email-change-store.ts';
import { AppError } from '../../src/core/errors.ts';
import { guardStore } from '../../src/db/database-guard.ts';
import { eq } from '../../src/db/drizzle.ts';
import { loginThrottle, oneTimeCodes, users } from '../../src/db/schema.ts';
import { device, makeEmail, makePassword, openAccounts } from '../support/whole-accounts.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const asker = { device, acceptLanguage: 'de-AT,en' };

type Someone = Awaited<ReturnType<Awaited<ReturnType<typeof openAccounts>>['signUp']>>;

async function setUp(t: Test, settings = {}, mailChanges = {}) {
  const opened = await openAccounts(t, { NEW_DEVICE_MAIL: false, ...settings }, mailChanges);
  const { emailChange } = opened.accounts;
  const accountStore = createAccountStore(opened.database);
  const ask = (someone: Someone, email: string) => emailChange.ask(someone.session, { email }, asker);

  /** Asks, and takes the code from the mail. */
  async function askForCode(someone: Someone, email: string): Promise<string> {
    await ask(someone, email);
    return linkOf(await opened.takeMails());
  }

  /** @returns the code by which the former address is brought back */
  async function change(someone: Someone, email: string): Promise<string> {
    await emailChange.confirm(someone.session, await askForCode(someone, email), asker);
    return linkOf(await opened.takeMails());
  }

  /** What a sign-up does after its hashing. @returns whether there is an account then */
  async function insert(email: string): Promise<boolean> {
    const values = { id: randomUUID(), email, emailAsTyped: email, passwordHash: 'none' };
    const user = await opened.transact((transaction) => accountStore.insert(transaction, values));
    return user !== null;
  }

  const addressOf = async ({ user }: Someone) => (await opened.accounts.profiles.get(user.id)).email;
  return { ...opened, emailChange, insert, ask, askForCode, change, addressOf };
}

/** Both codes in the only mail. */
function codesIn(mails: { data: object }[]): { link: string; code: string } {
  const [mail, ...others] = mails;
  if (mail === undefined || others.length > 0) throw new Error(`${mails.length} mails`);
  return mail.data as { link: string; code: string };
}

const linkOf = (mails: { data: object }[]) => codesIn(mails).link;

const codeOf = (error: unknown) => (error instanceof AppError ? error.code : error);
const outcomeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'ok', codeOf);

test('the code from the new mailbox makes it the address, verified, and the former one is told', async (t) => {
  const { signUp, signIn, ask, takeMails, emailChange, find, eventsOf } = await setUp(t);
  const ada = await signUp();
  const phone = await signIn(ada.email, ada.password);
  const email = makeEmail();
  await ask(ada, ` ${email.toUpperCase()}`);
  const mails = await takeMails();
  t.match(mails, [{ template: 'change_email', userId: ada.user.id, to: email, locale: 'de-AT,en' }]);
  t.match(mails[0]?.data, { link: /^[\w-]{43}$/, code: /^.{4}-.{4}$/, goodForMs: 600_000 });

  const changed = await emailChange.confirm(ada.session, linkOf(mails), asker);
  t.match(changed, { id: ada.user.id, email, emailAsTyped: email.toUpperCase(), emailVerifiedAt: Date });
  const [notice] = await takeMails();
  t.match(notice, { template: 'email_changed', to: ada.email, data: { newEmail: email.toUpperCase() } });
  t.match(notice?.data, { link: /^[\w-]{43}$/, goodForMs: 7 * DAY_MS, at: Date, ip: device.ip });

  t.match(await find(ada.token), { claims: { email, email_verified: true } }, 'at its next route change');
  t.equal(await find(phone.token), null, 'the other device is signed out');
  t.equal(await outcomeOf(signIn(ada.email, ada.password)), 'invalid_credentials');
  t.equal(await outcomeOf(signIn(email, ada.password)), 'ok');
  const events = await eventsOf(ada.user.id);
  const event = events.find(({ kind }) => kind === 'email.changed');
  t.match(event, { actorId: ada.user.id, sessionId: ada.session.id, ip: device.ip });
  t.strictSame(event?.details, { from: ada.email, to: email });
});

test('the code may be typed without the address, five times wrong at most', async (t) => {
  const { signUp, ask, takeMails, emailChange, addressOf } = await setUp(t);
  const [ada, bob] = [await signUp(), await signUp()];
  const emails = [makeEmail(), makeEmail()] as const;
  const typed: string[] = [];
  for (const [at, someone] of [ada, bob].entries()) {
    await ask(someone, String(emails[at]));
    typed.push(codesIn(await takeMails()).code);
  }
  const [adasCode = '', bobsCode = ''] = typed;
  const confirm = (someone: Someone, text: string) =>
    outcomeOf(emailChange.confirm(someone.session, text, asker));
  t.equal(await confirm(ada, bobsCode), 'invalid_code', 'it is for another user');
  t.equal(await confirm(ada, adasCode.toLowerCase().replace('-', ' ')), 'ok');
  t.equal(await addressOf(ada), emails[0]);
  for (let i = 0; i < 5; i += 1) t.equal(await confirm(bob, 'AAAA-AAAA'), 'invalid_code');
  t.equal(await confirm(bob, bobsCode), 'invalid_code', 'used up');
});

test('a link is of no use to another user who is signed in', async (t) => {
  const { signUp, askForCode, emailChange, addressOf } = await setUp(t);
  const [ada, eve] = [await signUp(), await signUp()];
  const code = await askForCode(ada, makeEmail());
  t.equal(await outcomeOf(emailChange.confirm(eve.session, code, asker)), 'invalid_code');
  t.equal(await addressOf(ada), ada.email);
  t.equal(await outcomeOf(emailChange.confirm(ada.session, code, asker)), 'ok');
});

test('a session that has just ended changes nothing any more', async (t) => {
  const { signUp, askForCode, emailChange, addressOf, sessions } = await setUp(t);
  const ada = await signUp();
  const code = await askForCode(ada, makeEmail());
  await sessions.signOut(ada.token, device.ip);
  t.equal(await outcomeOf(emailChange.confirm(ada.session, code, asker)), 'not_signed_in');
  t.equal(await addressOf(ada), ada.email);
});

test('a taken address is not told from a free one, and gets no mail', async (t) => {
  const { signUp, ask, takeMails, emailChange } = await setUp(t);
  const [ada, bob] = [await signUp(), await signUp()];
  t.equal(await outcomeOf(ask(ada, bob.email.toUpperCase())), 'ok');
  t.strictSame(await takeMails(), []);
  t.equal(await outcomeOf(emailChange.confirm(ada.session, 'AAAA-AAAA', asker)), 'invalid_code');
  await t.rejects(ask(ada, 'nobody'), { code: 'validation_failed' });
});

test('an address that was taken after the mail is a wrong code, and nothing is changed', async (t) => {
  const { signUp, signIn, askForCode, emailChange, takeMails, find, addressOf } = await setUp(t);
  const ada = await signUp();
  const phone = await signIn(ada.email, ada.password);
  const email = makeEmail();
  const code = await askForCode(ada, email);
  await signUp(email);
  t.equal(await outcomeOf(emailChange.confirm(ada.session, code, asker)), 'invalid_code');
  t.equal(await addressOf(ada), ada.email);
  t.ok(await find(phone.token));
  t.strictSame(await takeMails(), []);
});

test('the spelling of the own address can be changed', async (t) => {
  const { signUp, askForCode, emailChange } = await setUp(t);
  const ada = await signUp();
  const code = await askForCode(ada, ada.email.toUpperCase());
  const { email, emailAsTyped } = await emailChange.confirm(ada.session, code, asker);
  t.strictSame([email, emailAsTyped], [ada.email, ada.email.toUpperCase()]);
});

test('needs the password once the sign-in is more than ten minutes ago', async (t) => {
  const { signUp, emailChange, passTime, takeMails } = await setUp(t);
  const ada = await signUp();
  const ask = (password?: string) =>
    outcomeOf(
      emailChange.ask(
        ada.session,
        { email: makeEmail(), ...(password !== undefined && { password }) },
        asker,
      ),
    );
  t.equal(await ask(makePassword()), 'invalid_credentials');
  t.equal(await ask(), 'ok');
  await passTime(11 * 60_000);
  t.equal(await ask(), 'reauthentication_required');
  t.equal(await ask(ada.password), 'ok');
  t.equal((await takeMails()).length, 2);
});

test('mails are bounded for an account and for an address', async (t) => {
  const { signUp, ask, takeMails, passTime } = await setUp(t, { MAILS_PER_ADDRESS: 2 });
  const [ada, bob] = [await signUp(), await signUp()];
  for (let i = 0; i < 10; i += 1) t.equal(await outcomeOf(ask(ada, makeEmail())), 'ok');
  t.equal(await outcomeOf(ask(ada, makeEmail())), 'rate_limited');
  t.equal((await takeMails()).length, 10);

  const email = makeEmail();
  for (let i = 0; i < 3; i += 1) t.equal(await outcomeOf(ask(bob, email)), 'ok');
  t.equal((await takeMails()).length, 2);
  await passTime(HOUR_MS + 1);
  const carl = await signUp();
  await ask(carl, email);
  t.equal((await takeMails()).length, 1);
});

test('without mails nothing of this is there', async (t) => {
  const { signUp, ask, emailChange } = await setUp(t, {}, { isOn: false });
  const ada = await signUp();
  t.equal(await outcomeOf(ask(ada, makeEmail())), 'not_found');
  t.equal(await outcomeOf(emailChange.confirm(ada.session, 'AAAA-AAAA', asker)), 'not_found');
  t.equal(await outcomeOf(emailChange.undo({ link: 'AAAA-AAAA' }, asker)), 'not_found');
});

test('the former mailbox takes the account back: no session, no password, no other code is left', async (t) => {
  const { signUp, signIn, change, emailChange, askForCode, codes, takeMails, find, eventsOf, transact } =
    await setUp(t);
  const ada = await signUp();
  const email = makeEmail();
  const undo = await change(ada, email);
  const thief = { ...ada, ...(await signIn(email, ada.password)) };
  const pending = await askForCode(thief, makeEmail());
  const reset = await transact((transaction) =>
    codes.issue(transaction, { userId: ada.user.id, purpose: 'reset_password', email }),
  );

  await emailChange.undo({ link: undo }, asker);
  for (const token of [ada.token, thief.token]) t.equal(await find(token), null);
  for (const address of [ada.email, email])
    t.equal(await outcomeOf(signIn(address, ada.password)), 'invalid_credentials');
  t.equal(await outcomeOf(emailChange.confirm(thief.session, pending, asker)), 'invalid_code');
  await t.rejects(codes.check('reset_password', { link: String(reset.link) }), { code: 'invalid_code' });
  t.equal(await outcomeOf(emailChange.undo({ link: undo }, asker)), 'invalid_code', 'only once');

  const [mail, ...others] = await takeMails();
  t.strictSame(others, []);
  t.match(mail, {
    template: 'reset_password',
    to: ada.email,
    locale: 'de-AT,en',
    data: { goodForMs: 600_000 },
  });
  t.match(await codes.check('reset_password', { link: linkOf([mail as { data: object }]) }), {
    userId: ada.user.id,
  });
  const event = (await eventsOf(ada.user.id)).find(({ kind }) => kind === 'email.change_undone');
  t.match(event, { actorId: null, ip: device.ip, details: { from: email, to: ada.email } });
});

test('the undoing code may be typed with the former address, and brings back how it was spelled', async (t) => {
  const { signUp, askForCode, emailChange, takeMails, accounts } = await setUp(t);
  const typedEmail = makeEmail().toUpperCase();
  const ada = await signUp(typedEmail);
  await emailChange.confirm(ada.session, await askForCode(ada, makeEmail()), asker);
  const { code } = codesIn(await takeMails());
  t.equal(await outcomeOf(emailChange.undo({ typed: code, email: makeEmail() }, asker)), 'invalid_code');
  await emailChange.undo({ typed: code, email: ada.user.email }, asker);
  const user = await accounts.profiles.get(ada.user.id);
  t.match(user, { email: typedEmail.toLowerCase(), emailAsTyped: typedEmail, emailVerifiedAt: Date });
});

test('for a week the former address belongs to nobody else', async (t) => {
  const { signUp, change, ask, takeMails, passTime } = await setUp(t);
  const [ada, eve] = [await signUp(), await signUp()];
  await change(ada, makeEmail());
  t.equal(await outcomeOf(signUp(ada.email)), 'email_taken');
  t.equal(await outcomeOf(ask(eve, ada.email)), 'ok');
  t.strictSame(await takeMails(), [], 'and this is not told either');
  await ask(ada, ada.email);
  t.match(await takeMails(), [{ to: ada.email }], 'its owner may change back');
  await passTime(7 * DAY_MS + 1);
  t.equal(await outcomeOf(signUp(ada.email)), 'ok');
});

test('a code for an address that became reserved is a wrong code', async (t) => {
  const { signUp, change, askForCode, emailChange, addressOf } = await setUp(t);
  const [ada, eve] = [await signUp(), await signUp()];
  const [wanted, next] = [makeEmail(), makeEmail()];
  const code = await askForCode(eve, wanted);
  await change(ada, wanted);
  const moved = await askForCode(ada, next);
  await emailChange.confirm(ada.session, moved, asker);
  t.equal(await outcomeOf(emailChange.confirm(eve.session, code, asker)), 'invalid_code');
  t.equal(await addressOf(eve), eve.email);
});

test('however often a thief changes the address, the first mailbox takes the account back', async (t) => {
  const { signUp, signIn, change, emailChange, addressOf, takeMails } = await setUp(t);
  const ada = await signUp();
  const [second, third] = [makeEmail(), makeEmail()];
  const adasUndo = await change(ada, second);
  const thief = { ...ada, ...(await signIn(second, ada.password)) };
  const thiefsUndo = await change(thief, third);
  await emailChange.undo({ link: thiefsUndo }, asker);
  t.equal(await addressOf(ada), second);
  await takeMails();
  t.equal(await outcomeOf(signUp(ada.email)), 'email_taken', 'still reserved');
  await emailChange.undo({ link: adasUndo }, asker);
  t.equal(await addressOf(ada), ada.email);
});

test("the first mailbox's code spends those of later ones", async (t) => {
  const { signUp, change, emailChange, addressOf } = await setUp(t);
  const ada = await signUp();
  const adasUndo = await change(ada, makeEmail());
  const laterUndo = await change(ada, makeEmail());
  await emailChange.undo({ link: adasUndo }, asker);
  t.equal(await outcomeOf(emailChange.undo({ link: laterUndo }, asker)), 'invalid_code');
  t.equal(await addressOf(ada), ada.email);
});

test('an address that somebody has all the same is a clear error, and the code stays good', async (t) => {
  const { signUp, change, emailChange, database, addressOf } = await setUp(t);
  const [ada, imported] = [await signUp(), await signUp()];
  const undo = await change(ada, makeEmail());
  await database.update(users).set({ email: ada.email }).where(eq(users.id, imported.user.id));
  t.equal(await outcomeOf(emailChange.undo({ link: undo }, asker)), 'email_taken');
  await database.update(users).set({ email: imported.email }).where(eq(users.id, imported.user.id));
  t.equal(await outcomeOf(emailChange.undo({ link: undo }, asker)), 'ok');
  t.equal(await addressOf(ada), ada.email);
});

test('a wish of an account that is gone, or of an hour ago, does nothing', async (t) => {
  const opened = await setUp(t);
  const { signUp, takeMails, database, guard } = opened;
  const [ada, bob] = [await signUp(), await signUp()];
  const { deliver } = emailChangeAskedLane({
    ...opened,
    store: guardStore('email_changes', createEmailChangeStore(), guard),
    mail: { isOn: true, send: async () => void t.fail('a mail'), withdraw: async () => {} },
    mailLimit: { take: async () => {}, tryTake: async () => true },
  });
  const wishOf = (someone: Someone) => ({
    ...{ userId: someone.user.id, email: makeEmail(), asTyped: makeEmail(), language: null },
  });
  const delivery = { id: randomUUID(), attempts: 1, signal: AbortSignal.timeout(HOUR_MS) };
  await database.delete(users).where(eq(users.id, ada.user.id));
  await deliver(wishOf(ada), { ...delivery, ageMs: 0 });
  await deliver(wishOf(bob), { ...delivery, ageMs: HOUR_MS + 1 });
  t.strictSame(await takeMails(), []);
  t.equal(await database.$count(oneTimeCodes), 0);
});

test('of two users who want one address, one gets it', async (t) => {
  const { signUp, ask, takeMails, emailChange, database } = await setUp(t);
  for (let round = 0; round < 12; round += 1) {
    const email = makeEmail();
    const racers = [await signUp(), await signUp()];
    const links: string[] = [];
    for (const racer of racers) {
      await ask(racer, email);
      links.push(linkOf(await takeMails()));
    }
    const outcomes = await Promise.all(
      racers.map(({ session }, at) => outcomeOf(emailChange.confirm(session, String(links[at]), asker))),
    );
    t.strictSame(outcomes.sort(), ['invalid_code', 'ok']);
    t.equal(await database.$count(users, eq(users.email, email)), 1);
    await takeMails();
  }
});

test('of a sign-up and a change that want one address, one gets it', async (t) => {
  const { signUp, askForCode, emailChange, database, takeMails, insert } = await setUp(t);
  const ada = await signUp();
  for (let round = 0; round < 30; round += 1) {
    const email = makeEmail();
    const code = await askForCode(ada, email);
    const [changed, signedUp] = await Promise.all([
      outcomeOf(emailChange.confirm(ada.session, code, asker)),
      insert(email),
    ]);
    t.not(changed === 'ok', signedUp, `round ${round}`);
    t.equal(await database.$count(users, eq(users.email, email)), 1);
    await takeMails();
    await database.update(loginThrottle).set({ attempts: [] });
  }
});

test('no sign-up slips in between a change and the reservation of the former address', async (t) => {
  const { signUp, askForCode, emailChange, takeMails, database, insert, addressOf } = await setUp(t);
  const ada = await signUp();
  for (let round = 0; round < 30; round += 1) {
    const former = await addressOf(ada);
    const code = await askForCode(ada, makeEmail());
    const change = { isOver: false };
    const signUpAgainAndAgain = async () => {
      while (!change.isOver) t.notOk(await insert(former));
    };
    const confirm = async () => {
      await emailChange.confirm(ada.session, code, asker);
      change.isOver = true;
    };
    await Promise.all([confirm(), ...[1, 2, 3, 4].map(signUpAgainAndAgain)]);
    t.equal(await database.$count(users, eq(users.email, former)), 0);
    await takeMails();
    await database.update(loginThrottle).set({ attempts: [] });
  }
});

test('of many who use one code at the same time, one wins', async (t) => {
  const { signUp, askForCode, emailChange, database, takeMails } = await setUp(t);
  const ada = await signUp();
  const code = await askForCode(ada, makeEmail());
  const all = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 20 }, () => outcomeOf(work())));
  const confirmed = await all(() => emailChange.confirm(ada.session, code, asker));
  t.equal(confirmed.filter((outcome) => outcome === 'ok').length, 1, String(confirmed));
  const undo = linkOf(await takeMails());
  const undone = await all(() => emailChange.undo({ link: undo }, asker));
  t.equal(undone.filter((outcome) => outcome === 'ok').length, 1, String(undone));
  t.equal(await database.$count(oneTimeCodes, eq(oneTimeCodes.purpose, 'undo_email_change')), 1);
});
