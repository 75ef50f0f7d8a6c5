import { test } from 'tap';
import { build, codeOf, newCredentials, runSql } from '../helper.ts';
import { browse, openVerifying, post } from '../support/verifying.ts';

const AT_ONCE = 20;

const times = <T>(count: number, work: (index: number) => T) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

test('of many sign-ups with one address at once, on two replicas, one makes the account', async (t) => {
  const world = await openVerifying(t, { MAILS_PER_ADDRESS: '1000' });
  const settings = { EMAIL_VERIFICATION: 'required', SMTP_URL: world.mails.smtpUrl };
  const other = await build(t, settings, world.place);
  const { email } = newCredentials();
  const answers = await times(AT_ONCE, (index) => {
    const { app } = index % 2 === 0 ? world : other;
    return post(app, '/signup', { ...newCredentials(), email });
  });
  t.ok(answers.every(({ statusCode }) => statusCode === 202));
  const links = await times(AT_ONCE, () => world.mails.next(email));
  const rows = await runSql<{ users: string; created: string; bound: string; codes: string }>(
    world.place.DATABASE_URL,
    `select (select count(*) from users) as users,
      (select count(*) from audit_events where kind = 'account.created') as created,
      (select count(*) from one_time_codes) as codes,
      (select count(distinct browser_hash) from one_time_codes) as bound`,
  );
  t.same(rows, [{ users: '1', created: '1', codes: String(AT_ONCE), bound: '1' }]);
  t.equal(new Set(links.map(({ linkCode }) => linkCode)).size, AT_ONCE);
});

test('of many uses of one code at once, one verifies', async (t) => {
  const world = await openVerifying(t);
  for (let round = 1; round <= 5; round += 1) {
    const credentials = newCredentials();
    await post(world.app, '/signup', credentials);
    const { linkCode: code } = await world.mails.next(credentials.email);
    const { password } = credentials;
    // Fewer than the wrong passwords that an account may have: guesses count while they are looked at.
    const answers = await times(8, () => post(world.app, '/email/verify', { code, password }));
    const won = answers.filter(({ statusCode }) => statusCode === 200);
    t.equal(won.length, 1);
    t.ok(answers.every((answer) => answer.statusCode === 200 || codeOf(answer) === 'invalid_code'));
  }
  const events = await runSql(
    world.place.DATABASE_URL,
    `select 1 from audit_events where kind = 'email.verified'`,
  );
  t.equal(events.length, 5);
});

test('verifying and "this was not me" with one code at once: one wins, and the squatter never after the owner', async (t) => {
  const world = await openVerifying(t, { PASSWORD_HASH_THREADS: '2' });
  const outcomes = new Set<string>();
  for (let round = 1; round <= 10; round += 1) {
    const { email, password } = newCredentials();
    const squatter = browse(world.app);
    await squatter.post('/signup', { email, password });
    const { linkCode: code } = await world.mails.next(email);
    const own = newCredentials().password;
    const owner = browse(world.app);
    const [verified, reset] = await Promise.all([
      squatter.post('/email/verify', { code }),
      owner.post('/password/reset', { code, password: own }),
    ]);
    const statuses = [verified.statusCode, reset.statusCode];
    outcomes.add(statuses.join());
    t.same([...statuses].sort(), [200, 400]);
    const isOwners = reset.statusCode === 200;
    t.equal((await owner.get('/me')).statusCode, isOwners ? 200 : 401);
    t.equal((await squatter.get('/me')).statusCode, isOwners ? 401 : 200);
  }
  t.comment([...outcomes].join(' '));
});
