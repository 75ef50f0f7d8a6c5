import { test } from 'tap';
import { codeOf, newCredentials } from '../helper.ts';
import { browse, openVerifying } from '../support/verifying.ts';

test('from a forgotten password to a new one, and to the mail for owners who did not do that', async (t) => {
  const { app, mails } = await openVerifying(t, { EMAIL_VERIFICATION: 'off' });
  const owner = newCredentials();
  const [laptop, phone] = [browse(app), browse(app)];
  t.equal((await laptop.post('/signup', owner)).statusCode, 201);
  await phone.post('/password/forgot', { email: owner.email });
  const { code, linkCode, link } = await mails.next(owner.email);
  t.match(link, /#code=[\w-]{43}$/, 'the code is in the fragment');
  const { password } = newCredentials();
  const reset = await phone.post('/password/reset', { email: owner.email, code, password });
  t.equal(reset.statusCode, 200);
  t.equal((await laptop.get('/me')).statusCode, 401);
  t.equal((await phone.get('/me')).statusCode, 200);
  t.equal(codeOf(await laptop.post('/password/reset', { code: linkCode, password })), 'invalid_code');

  const told = await mails.next(owner.email);
  t.equal((await laptop.post('/sessions/disown', { code: told.linkCode })).statusCode, 204);
  t.equal((await phone.get('/me')).statusCode, 401);
  const another = { code: told.linkCode, password: newCredentials().password };
  t.equal((await laptop.post('/password/reset', another)).statusCode, 200);
});

test('whoever asks for many mails does not keep the owner from being warned', async (t) => {
  const { app, mails } = await openVerifying(t, { EMAIL_VERIFICATION: 'off', MAILS_PER_ADDRESS: '2' });
  const owner = newCredentials();
  t.equal((await browse(app).post('/signup', owner)).statusCode, 201);
  const thief = browse(app);
  for (let asked = 0; asked < 4; asked += 1) await thief.post('/password/forgot', { email: owner.email });
  for (let sent = 0; sent < 2; sent += 1) t.match((await mails.next(owner.email)).link, /\/reset#/);
  t.equal((await thief.post('/login', owner)).statusCode, 200);
  t.match((await mails.next(owner.email)).link, /\/not-me#/);
});

test('whoever signs up with an address that is not theirs has nothing once its owner comes', async (t) => {
  const { app, mails } = await openVerifying(t);
  const squatters = newCredentials();
  const [squatter, owner] = [browse(app), browse(app)];
  t.equal((await squatter.post('/signup', squatters)).statusCode, 202);
  const { linkCode: code } = await mails.next(squatters.email);
  t.equal(codeOf(await owner.post('/email/verify', { code })), 'password_required');
  const { password } = newCredentials();
  t.equal((await owner.post('/password/reset', { code, password })).statusCode, 200);
  t.match((await owner.get('/me')).json(), { user: { email_verified: true } });
  t.equal(codeOf(await squatter.post('/email/verify', { code })), 'invalid_code');
  t.equal(codeOf(await squatter.post('/login', squatters)), 'invalid_credentials');
  t.equal((await owner.post('/login', { email: squatters.email, password })).statusCode, 200);
});
