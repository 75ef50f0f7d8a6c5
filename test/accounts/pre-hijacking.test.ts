import { test } from 'tap';
import { codeOf, newCredentials, runSql } from '../helper.ts';
import { type Browser, browse, enrol, openVerifying, post, type Verifying } from '../support/verifying.ts';

/** Somebody signs up with an address that is not theirs, before its owner does. Its mail goes to the owner. */
async function squat({ app, mails }: Verifying) {
  const { email } = newCredentials();
  const browser = browse(app);
  const password = newCredentials().password;
  const answer = await browser.post('/signup', { email, password });
  const { linkCode } = await mails.next(email);
  return { email, squatter: { browser, password }, linkCode, status: answer.statusCode };
}

const isSignedIn = async (browser: Browser) => (await browser.get('/me')).statusCode === 200;

test('a squatter without the mail gets nowhere: no session, no sign-in, no verification', async (t) => {
  const world = await openVerifying(t);
  const { email, squatter, linkCode } = await squat(world);
  t.notOk(await isSignedIn(squatter.browser));
  t.equal(
    codeOf(await squatter.browser.post('/login', { email, password: squatter.password })),
    'invalid_credentials',
  );
  const guessed = `${linkCode?.slice(0, -2)}AA`;
  t.equal(codeOf(await squatter.browser.post('/email/verify', { code: guessed })), 'invalid_code');
  t.equal(codeOf(await squatter.browser.post('/email/verify', { email, code: '0000-0000' })), 'invalid_code');
});

test('the owner who follows the link of a squatted account does not verify it', async (t) => {
  const world = await openVerifying(t);
  const { linkCode } = await squat(world);
  const owner = browse(world.app);
  t.equal(codeOf(await owner.post('/email/verify', { code: linkCode })), 'password_required');
  t.notOk(await isSignedIn(owner));
  const [row] = await runSql<{ email_verified_at: Date | null }>(
    world.place.DATABASE_URL,
    'select email_verified_at from users',
  );
  t.equal(row?.email_verified_at, null);
});

test('nor does an owner whose browser has signed up itself with the squatted address', async (t) => {
  const world = await openVerifying(t);
  const { email, linkCode, squatter } = await squat(world);
  const owner = { browser: browse(world.app), password: newCredentials().password };
  t.equal((await owner.browser.post('/signup', { email, password: owner.password })).statusCode, 202);
  const second = await world.mails.next(email);
  for (const code of [linkCode, second.linkCode]) {
    t.equal(codeOf(await owner.browser.post('/email/verify', { code })), 'password_required');
    const { password } = owner;
    t.equal(codeOf(await owner.browser.post('/email/verify', { code, password })), 'password_required');
  }
  t.ok(squatter.browser.jar.has('__Host-g_signup'));
});

for (const mode of ['required', 'optional']) {
  test(`${mode}: "this was not me" gives the owner the account, and what the squatter has is worthless`, async (t) => {
    const world = await openVerifying(t, { EMAIL_VERIFICATION: mode });
    const { email, squatter, linkCode } = await squat(world);
    const owner = browse(world.app);
    const { password } = newCredentials();
    const reset = await owner.post('/password/reset', { code: linkCode, password });
    t.equal(reset.statusCode, 200, reset.body);
    t.match(reset.json().user, { email, email_verified: true });
    t.ok(await isSignedIn(owner));
    t.notOk(await isSignedIn(squatter.browser));
    const login = { email, password: squatter.password };
    t.equal(codeOf(await squatter.browser.post('/login', login)), 'invalid_credentials');
    t.equal(codeOf(await squatter.browser.post('/email/verify', { code: linkCode })), 'invalid_code');
    t.equal((await post(world.app, '/login', { email, password })).statusCode, 200);
  });

  test(`${mode}: a forgotten password gives it to the owner as well`, async (t) => {
    const world = await openVerifying(t, { EMAIL_VERIFICATION: mode });
    const { email, squatter, linkCode } = await squat(world);
    const owner = browse(world.app);
    const { password } = newCredentials();
    await owner.post('/password/forgot', { email });
    const mail = await world.mails.next(email);
    const reset = await owner.post('/password/reset', { code: mail.linkCode, password });
    t.equal(reset.statusCode, 200, reset.body);
    t.match(reset.json().user, { email, email_verified: true });
    t.notOk(await isSignedIn(squatter.browser));
    const squatted = { code: linkCode, password: squatter.password };
    t.equal(codeOf(await squatter.browser.post('/email/verify', squatted)), 'invalid_code');
    t.equal(
      codeOf(await post(world.app, '/login', { email, password: squatter.password })),
      'invalid_credentials',
    );
  });
}

test('the mails that a squatter asks for again are bound to no browser of the owner', async (t) => {
  const world = await openVerifying(t, { EMAIL_VERIFICATION: 'optional' });
  const { email, squatter } = await squat(world);
  t.equal((await squatter.browser.post('/email/verify/send', {})).statusCode, 202);
  const { linkCode } = await world.mails.next(email);
  t.equal(codeOf(await browse(world.app).post('/email/verify', { code: linkCode })), 'password_required');
});

test('whoever signs up twice in one browser, with one password or two, needs no other', async (t) => {
  const { app, mails } = await openVerifying(t);
  const { email, password } = newCredentials();
  const browser = browse(app);
  await browser.post('/signup', { email, password });
  await mails.next(email);
  await browser.post('/signup', { email, password: newCredentials().password });
  const { linkCode } = await mails.next(email);
  t.equal((await browser.post('/email/verify', { code: linkCode })).statusCode, 200);
  t.equal((await post(app, '/login', { email, password })).statusCode, 200, 'the first one holds');
});

test('a sign-up with the address of somebody who is verified changes nothing of theirs', async (t) => {
  const world = await openVerifying(t);
  const { email, password, browser } = await enrol(world);
  const stranger = browse(world.app);
  const theirs = newCredentials().password;
  await stranger.post('/signup', { email, password: theirs });
  await world.mails.next(email);
  t.equal(codeOf(await post(world.app, '/login', { email, password: theirs })), 'invalid_credentials');
  t.equal((await post(world.app, '/login', { email, password })).statusCode, 200);
  t.ok(await isSignedIn(browser));
});
