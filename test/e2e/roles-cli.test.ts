import { decodeJwt } from 'jose';
import t from 'tap';
import { newCredentials } from '../helper.ts';
import { shortFolder, startServer } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';

// An embedded server takes a while for its first start.
t.setTimeout(300_000);

t.test(
  'the first admin, and the roles of others, by commands beside a running embedded server',
  async (t) => {
    const settings = { DATA_DIR: shortFolder(t) };
    const { url, stop } = await startServer(t, settings);
    const { email, cookie } = await enter(url);
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await doorward(settings, ...args);
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
      return stdout;
    };
    const fails = async (message: RegExp, ...args: string[]) =>
      t.match(await doorward(settings, ...args), { code: 1, stdout: '', stderr: message }, args.join(' '));

    const table = (await run('users', 'grant', email.toUpperCase(), 'admin')).split('\n');
    t.match(table, [/^USER +ADDRESS +ROLES$/, new RegExp(`^[0-9a-f-]{36} +${email} +admin$`), '']);
    t.match(decodeJwt(await tokenOf(url, cookie)), { roles: ['admin'], scope: /admin:users:write/, cv: 2 });
    await fails(
      /There is no account with the address eve@example\.com/,
      'users',
      'grant',
      'eve@example.com',
      'admin',
    );
    await fails(/"amdin" is no role: `doorward roles list`/, 'users', 'grant', email, 'amdin');
    await fails(/last active user with the role admin/, 'users', 'revoke-role', email, 'admin');
    await fails(/^email: /, 'users', 'grant', 'eve', 'admin');

    const set = ['roles', 'set', 'editor', '--scope', 'posts:write', 'posts:read'];
    t.match((await run(...set, '--description', 'Writes')).split('\n'), [
      /^ROLE +SCOPES +DESCRIPTION$/,
      /^editor +posts:read,posts:write +Writes$/,
      '',
    ]);
    t.match(JSON.parse(await run('users', 'grant', email, 'editor', '--json')), {
      email,
      roles: ['admin', 'editor'],
    });
    t.match(decodeJwt(await tokenOf(url, cookie)), { scope: / posts:read posts:write$/ });
    const emptied = await run('roles', 'set', 'editor', '--scope', '--json');
    t.strictSame(JSON.parse(emptied), { name: 'editor', scopes: [], description: 'Writes' });
    t.match(
      await run('roles', 'list'),
      /^ROLE +SCOPES +DESCRIPTION\nadmin +admin:audit,.*\neditor +Writes\n$/,
    );
    t.match(await run('roles', 'remove', 'editor'), /^Removed editor\./);
    t.match(await run('users', 'revoke-role', email, 'editor'), /admin$/m);
    await fails(/There is no role editor/, 'roles', 'remove', 'editor');
    await fails(/required option '--scope/, 'roles', 'set', 'editor');

    await stop();
    t.match(
      JSON.parse(await run('roles', 'list', '--json')),
      [{ name: 'admin' }],
      'also while no server runs',
    );
    t.match(JSON.parse(await run('users', 'grant', email, 'admin', '--json')), { roles: ['admin'] });
  },
);

async function enter(url: string) {
  const { email, password } = newCredentials();
  const response = await call(url, '/signup', { email, password });
  const [cookie = ''] = String(response.headers.get('set-cookie')).split(';');
  return { email, cookie };
}

async function tokenOf(url: string, cookie: string): Promise<string> {
  const { access_token: token } = (await (await call(url, '/token', {}, { cookie })).json()) as {
    access_token: string;
  };
  return token;
}

function call(url: string, path: string, body: object, headers: Record<string, string> = {}) {
  const type = { 'content-type': 'application/json' };
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...type, ...headers },
    body: JSON.stringify(body),
  });
}
