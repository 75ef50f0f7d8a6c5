import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createPlace, newCredentials } from '../helper.ts';
import { doorward } from '../support/warm-doorward.ts';
import { runCommand } from './server-process.ts';

t.setTimeout(200_000);

const place = {
  ...(await createPlace(t)),
  SMTP_URL: 'smtp://127.0.0.1:1025',
};

/** `doorward users …`, which must succeed. */
async function users(...args: string[]) {
  const { code, stdout, stderr } = await doorward(place, 'users', ...args);
  if (code !== 0) throw new Error(`users ${args.join(' ')} ended with ${code}: ${stderr}`);
  return { stdout, stderr };
}
const json = async (...args: string[]) => JSON.parse((await users(...args, '--json')).stdout);
const refused = async (...args: string[]) => {
  const { code, stderr } = await doorward(place, 'users', ...args);
  t.equal(code, 1, args.join(' '));
  return stderr;
};

t.test('the whole life of an account, by commands alone', async (t) => {
  const { email } = newCredentials();
  const made = await json('create', email, '--name', 'Ada', '--email-verified', '--metadata', '{"a":1}');
  t.match(made, {
    email,
    display_name: 'Ada',
    email_verified: true,
    metadata: { a: 1 },
    has_password: false,
  });
  t.match((await users('show', email)).stdout, /^email_as_typed\s+\S+@example\.com$/m);
  t.same(await json('show', made.id), made);
  const changed = await json('change', email, '--name', '', '--locale', 'de', '--no-email-verified');
  t.match(changed, { display_name: null, locale: 'de', email_verified: false });
  const moved = newCredentials().email;
  t.equal((await json('change', made.id, '--email', moved, '--locale', '')).email, moved);
  t.same((await json('change', moved, '--role', 'admin')).roles, ['admin']);
  t.match(await refused('change', moved, '--role'), /last active user with the role admin/);
  t.match(await refused('ban', moved), /last active user with the role admin/);
  const other = newCredentials().email;
  t.same((await json('create', other, '--role', 'admin', '--invite')).roles, ['admin']);
  t.same((await json('change', moved, '--role')).roles, []);
  const banned = await json('ban', moved, '--reason', 'spam', '--until', '2100-01-01T00:00:00Z');
  t.match(banned, { status: 'banned', ban_reason: 'spam', banned_until: '2100-01-01T00:00:00.000Z' });
  t.match((await users('show', moved)).stdout, /^status +banned$/m);
  t.equal((await json('unban', moved)).status, 'active');
  t.equal((await json('force-reset', moved)).has_password, false);
  t.same(await json('end-sessions', moved), { ended: 0 });
  t.equal((await users('end-sessions', moved)).stdout, 'Sessions that were ended: 0\n');
  t.match((await users('list', moved)).stdout, /active +no/);
  t.match(await refused('delete', moved), /Say --yes/);
  t.equal((await users('delete', moved, '--yes')).stdout, `Deleted: ${moved}\n`);
  t.match(await refused('show', moved), /no account with the address/);
});

t.test('a list is a table for people, and one user a line for programs', async (t) => {
  const { email } = newCredentials();
  await users('create', email);
  await users('create', `x${email}`, '--email-verified');
  const first = await users('list', '--limit', '1');
  t.match(first.stdout, /^USER +ADDRESS +STATUS +VERIFIED +ROLES +CREATED\n.*x\S+ +active +yes/);
  const [, after = ''] = /go on with --after (\S+)\n/.exec(first.stderr) ?? [];
  const second = await users('list', '--limit', '1', '--after', after, '--json');
  t.equal(JSON.parse(second.stdout).email, email);
  const filters = ['--status', 'active', '--verified', '--created-after', '2020-01-01'];
  const found = (await users('list', `X${email}`, ...filters, '--json')).stdout.trim().split('\n');
  t.match(
    found.map((line) => JSON.parse(line)),
    [{ email: `x${email}` }],
  );
  t.equal((await users('list', '--role', 'none', '--no-verified', '--json')).stdout, '');
  const none = ['--status', 'banned', '--created-before', '2020-01-01T00:00:00Z', '--json'];
  t.equal((await users('list', ...none)).stdout, '');
});

t.test('what makes no sense is refused before anything is done', async (t) => {
  t.match(await refused('change', randomUUID()), /nothing to change/);
  t.match(await refused('show', randomUUID()), /no such user/);
  t.match(await refused('show', 'nobody'), /exactly one @/);
  t.match(await refused('list', '--created-after', 'soon'), /^created_after: is not an instant such as/);
  t.match(await refused('list', '--after', 'x'), /not the `next`/);
  t.match(await refused('list', '--limit', '0'), /from 1 to 1000/);
  t.match(await refused('list', '--status', 'asleep'), /active or banned/);
  for (const text of ['[]', '{', 'null', '1'])
    t.match(await refused('create', 'a@example.com', '--metadata', text), /an object in JSON/);
});

t.test('a password comes from the standard input, never from the command line', async (t) => {
  const { email, password } = newCredentials();
  for (const [typed, code] of [
    [password, 0],
    ['', 1],
  ] as const) {
    const command = runCommand(
      t,
      ['users', 'create', `${code}${email}`, '--password-stdin', '--json'],
      place,
    );
    command.child.stdin?.end(`${typed}\nsecond line`);
    t.equal(await command.exited, code, command.stderr);
    if (code === 0) t.equal(JSON.parse(command.stdout).has_password, true);
    else t.match(command.stderr, /no password on the standard input/);
  }
});
