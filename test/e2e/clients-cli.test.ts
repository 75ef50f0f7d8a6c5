import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import type { ClientListing, NewCredentials } from '../../src/oauth/client-commands.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { createPlace, quickSettings } from '../helper.ts';
import { basic } from '../support/clients.ts';
import { shortFolder, startServer } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';
import { TestProcess } from './server-process.ts';

type Settings = Record<string, string>;

// Most of these start processes of their own, and an embedded server takes a while for its first start.
t.setTimeout(400_000);

const audiences = { AUDIENCES: 'shop,payments' };

/** Runs `doorward clients … --json`, which must succeed, and returns its output. */
async function clients<T = NewCredentials>(settings: Settings, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await doorward(settings, 'clients', ...args, '--json');
  if (code !== 0 || stderr !== '') throw new Error(`clients ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

async function letsIn(url: string, id: string, secret: unknown): Promise<boolean> {
  const response = await fetch(`${url}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: basic(id, String(secret)) },
    body: new URLSearchParams({ token: 'x' }),
  });
  return response.status === 200;
}

t.test('the whole life of a client, beside a running embedded server', async (t) => {
  const settings = { ...audiences, DATA_DIR: shortFolder(t) };
  const { url } = await startServer(t, settings);
  const added = await clients(
    settings,
    'add',
    'payments',
    '--name',
    'Payments',
    '--audience',
    'payments',
    '--scope',
    'a',
    'b',
  );
  t.match(added, {
    client: {
      client_id: 'payments',
      name: 'Payments',
      authentication: 'secret',
      scopes: ['a', 'b'],
      audiences: ['payments'],
      disabled_at: null,
    },
    client_secret: /^dws_[\w-]{43}$/,
  });
  t.equal(await letsIn(url, 'payments', added.client_secret), true, 'at once');

  const rotated = await clients(settings, 'rotate-secret', 'payments');
  t.equal(await letsIn(url, 'payments', rotated.client_secret), true);
  t.equal(await letsIn(url, 'payments', added.client_secret), true, 'the one before overlaps');
  await clients(settings, 'rotate-secret', 'payments', '--overlap', '0s');
  t.equal(await letsIn(url, 'payments', rotated.client_secret), false);

  const changes = ['--name', 'Till', '--audience', 'shop', 'payments', '--scope', 'c'];
  const updated = await clients<ClientListing>(settings, 'update', 'payments', ...changes);
  t.strictSame(updated, { ...added.client, name: 'Till', audiences: ['shop', 'payments'], scopes: ['c'] });
  t.equal(await letsIn(url, 'payments', rotated.client_secret), false, 'credentials stay as they were');

  const config = loadConfig({ ...quickSettings, ...settings });
  t.match(await runCommand(config, 'doctor.ticket'), { access_token: String });
  const listed = await clients<ClientListing[]>(settings, 'list');
  t.match(listed, [{ client_id: 'payments' }]);
  t.notMatch(JSON.stringify(listed), /dws_|hash/);
  t.match(await clients<ClientListing>(settings, 'disable', 'payments'), { disabled_at: String });
  t.strictSame(await clients<ClientListing>(settings, 'enable', 'payments'), updated);
});

t.test('speaks to people as well', async (t) => {
  const place = { ...(await createPlace(t)), ...audiences };
  const added = await doorward(place, 'clients', 'add', 'shop', '--audience', 'shop', 'payments');
  t.match(added.stdout, /^client_id {6}shop\nclient_secret {2}dws_[\w-]{43}\n\nKeep the secret now/);
  const listed = await doorward(place, 'clients', 'list');
  t.match(listed.stdout, /^CLIENT +BY +AUDIENCES +SCOPES +DISABLED\nshop +secret +shop,payments\n$/);
  t.match(
    (await doorward(place, 'clients', 'update', 'shop', '--scope', 'a', 'b')).stdout,
    /^CLIENT .*\nshop +secret +shop,payments +a,b\n$/,
  );
  t.match(await clients<ClientListing>(place, 'update', 'shop', '--scope'), {
    scopes: [],
    audiences: ['shop', 'payments'],
  });
  t.match(
    (await doorward(place, 'clients', 'disable', 'shop')).stdout,
    /shop +secret +shop,payments +\d{4}-/,
  );
});

/** A file with the public key of a client. */
function keyFile(t: Test, content?: string): string {
  const path = join(shortFolder(t), 'key.json');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(path, content ?? JSON.stringify(publicKey.export({ format: 'jwk' })));
  return path;
}

t.test('a client can have public keys in place of a secret', async (t) => {
  const place = { ...(await createPlace(t)), ...audiences };
  const added = await doorward(
    place,
    'clients',
    'add',
    'shop',
    '--audience',
    'shop',
    '--public-keys',
    keyFile(t),
  );
  t.match(added.stdout, /shop +public_keys/);
  t.notMatch(added.stdout, /dws_/);
  const rotated = await clients(place, 'rotate-secret', 'shop', '--public-keys', keyFile(t));
  t.match(rotated, { client: { authentication: 'public_keys' }, client_secret: null });
  t.match(await clients(place, 'rotate-secret', 'shop'), {
    client: { authentication: 'secret' },
    client_secret: String,
  });
});

t.test('a disabled client gets no new secret, and after `enable` its own one is good again', async (t) => {
  const place = { ...(await createPlace(t)), ...audiences };
  await clients(place, 'add', 'shop', '--audience', 'shop');
  await clients(place, 'disable', 'shop');
  const config = loadConfig({ ...quickSettings, ...place });
  await t.rejects(runCommand(config, 'clients.rotate-secret', { id: 'shop', overlap_ms: 0 }), {
    errors: [{ path: '/client_id', message: /is disabled, .* `doorward clients enable shop` first/ }],
  });
  t.match(await clients<ClientListing>(place, 'enable', 'shop'), { client_id: 'shop', disabled_at: null });
  t.match(await clients(place, 'rotate-secret', 'shop'), { client_secret: /^dws_/ });
});

t.test('a secret that cannot be written is told to be lost, with what makes a new one', async (t) => {
  const env = { ...(await createPlace(t)), ...audiences };
  const add = ['src/cli.ts', 'clients', 'add', 'shop', '--audience', 'shop'];
  const script = 'exec "$@" > /dev/full';
  const child = new TestProcess(t, 'sh', ['-c', script, 'sh', process.execPath, ...add], env);
  t.equal(await child.exited, 1);
  t.match(
    child.stderr,
    /^The secret of shop is lost\. Make a new one with `doorward clients rotate-secret shop`\.$/m,
  );
  t.match(child.stderr, /^The command is done, and its answer cannot be written: .*\bENOSPC\b.*\.$/m);
  t.equal(child.stderr.trim().split('\n').length, 2);
});

t.test('what cannot be is refused in clear words, and changes nothing', async (t) => {
  const place = { ...(await createPlace(t)), ...audiences };
  const config = loadConfig({ ...quickSettings, ...place });
  await runCommand(config, 'clients.add', { id: 'shop', audiences: ['shop'] });
  const refusals: [() => Promise<unknown>, object][] = [
    [
      () => runCommand(config, 'clients.add', { id: 'shop', audiences: ['shop'] }),
      { errors: [{ path: '/client_id', message: /another client/ }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: 'Shop' }),
      { errors: [{ path: '/client_id', message: /a-z/ }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: 'browser' }),
      { errors: [{ path: '/client_id', message: /taken/ }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: crypto.randomUUID() }),
      { errors: [{ path: '/client_id', message: /no UUID/ }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: 'doctor' }),
      { errors: [{ path: '/client_id', message: /taken/ }] },
    ],
    [() => runCommand(config, 'clients.add', { id: 'x', name: 'a\nb' }), { errors: [{ path: '/name' }] }],
    [() => runCommand(config, 'clients.add', { id: 'x', name: '' }), { errors: [{ path: '/name' }] }],
    [
      () => runCommand(config, 'clients.add', { id: 'x', scopes: ['a b', 'c'] }),
      { errors: [{ path: '/scopes' }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: 'x', audiences: ['nix'] }),
      { errors: [{ path: '/audiences' }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: 'x', audiences: ['shop'], public_keys: {} }),
      { errors: [{ path: '/keys/0' }] },
    ],
    [() => runCommand(config, 'clients.rotate-secret', { id: 'x', overlap_ms: 0 }), { code: 'not_found' }],
    [() => runCommand(config, 'clients.disable', { id: 'x' }), { code: 'not_found' }],
    [() => runCommand(config, 'clients.update', { id: 'x', name: 'X' }), { code: 'not_found' }],
    [
      () => runCommand(config, 'clients.update', { id: 'shop', name: '', scopes: ['a b'], audiences: [] }),
      {
        errors: [
          { path: '/name' },
          { path: '/scopes' },
          { path: '/audiences', message: /at least one service/ },
        ],
      },
    ],
    [
      () => runCommand(config, 'clients.update', { id: 'shop', audiences: ['nix'] }),
      { errors: [{ path: '/audiences', message: /is none of shop, payments/ }] },
    ],
    [() => runCommand(config, 'clients.enable', { id: 'x' }), { code: 'not_found' }],
    [
      () => runCommand(config, 'clients.add', { id: 'x', scopes: ['a'] }),
      { errors: [{ path: '/audiences', message: /at least one service: shop, payments/ }] },
    ],
  ];
  for (const [attempt, error] of refusals) await t.rejects(attempt(), error as Error);
  const lines: [string[], RegExp][] = [
    [
      ['add', 'Bad', '--scope', 'a"b', '--audience', 'shop'],
      /^client_id: "Bad" must be .*\nscopes: .* is not a scope\n$/,
    ],
    [
      ['add', 'x', '--public-keys', keyFile(t, 'text')],
      /^--public-keys "[^\n]*": this file is not JSON\. [^\n]*\n$/,
    ],
    [
      ['add', 'x', '--public-keys', '/not/there'],
      /^--public-keys "\/not\/there": there is no file .* \(ENOENT\)\. Correct the path, .*\.\n$/,
    ],
    [['add', 'x', '--public-keys', '/'], /^--public-keys "\/": this is a folder\. Name the file .*\.\n$/],
    [['update', 'shop'], /^There is nothing to change: give a name, audiences or scopes\.\n$/],
    [['rotate-secret', 'shop', '--overlap', 'long'], /a duration from 0s to 30d/],
  ];
  for (const [args, line] of lines) {
    const { code, stdout, stderr } = await doorward(place, 'clients', ...args);
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(stderr, line);
  }
  t.match(await runCommand(config, 'clients.list'), [
    { client_id: 'shop', name: 'shop', audiences: ['shop'], scopes: [], disabled_at: null },
  ]);
});
