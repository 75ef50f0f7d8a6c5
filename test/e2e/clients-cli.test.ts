import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import type { ClientListing, NewCredentials } from '../../src/oauth/client-commands.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { createPlace, quickSettings } from '../helper.ts';
import { basic } from '../support/clients.ts';
import { doorward, shortFolder, startServer } from '../support/processes.ts';

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

  const config = loadConfig({ ...quickSettings, ...settings });
  t.match(await runCommand(config, 'doctor.ticket'), { access_token: String });
  const listed = await clients<ClientListing[]>(settings, 'list');
  t.match(listed, [{ client_id: 'payments' }]);
  t.notMatch(JSON.stringify(listed), /dws_|hash/);
  t.match(await clients<ClientListing>(settings, 'disable', 'payments'), { disabled_at: String });
});

t.test('speaks to people as well', async (t) => {
  const place = { ...(await createPlace(t)), ...audiences };
  const added = await doorward(place, 'clients', 'add', 'shop', '--audience', 'shop', 'payments');
  t.match(added.stdout, /^client_id {6}shop\nclient_secret {2}dws_[\w-]{43}\n\nKeep the secret now/);
  const listed = await doorward(place, 'clients', 'list');
  t.match(listed.stdout, /^CLIENT +BY +AUDIENCES +SCOPES +DISABLED\nshop +secret +shop,payments\n$/);
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
  const added = await doorward(place, 'clients', 'add', 'shop', '--public-keys', keyFile(t));
  t.match(added.stdout, /shop +public_keys/);
  t.notMatch(added.stdout, /dws_/);
  const rotated = await clients(place, 'rotate-secret', 'shop', '--public-keys', keyFile(t));
  t.match(rotated, { client: { authentication: 'public_keys' }, client_secret: null });
  t.match(await clients(place, 'rotate-secret', 'shop'), {
    client: { authentication: 'secret' },
    client_secret: String,
  });
});

t.test('what cannot be is refused in clear words, and changes nothing', async (t) => {
  const place = { ...(await createPlace(t)), ...audiences };
  const config = loadConfig({ ...quickSettings, ...place });
  await runCommand(config, 'clients.add', { id: 'shop' });
  const refusals: [() => Promise<unknown>, object][] = [
    [
      () => runCommand(config, 'clients.add', { id: 'shop' }),
      { errors: [{ path: '/id', message: /another client/ }] },
    ],
    [() => runCommand(config, 'clients.add', { id: 'Shop' }), { errors: [{ path: '/id', message: /a-z/ }] }],
    [
      () => runCommand(config, 'clients.add', { id: 'browser' }),
      { errors: [{ path: '/id', message: /taken/ }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: crypto.randomUUID() }),
      { errors: [{ path: '/id', message: /no UUID/ }] },
    ],
    [
      () => runCommand(config, 'clients.add', { id: 'doctor' }),
      { errors: [{ path: '/id', message: /taken/ }] },
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
      () => runCommand(config, 'clients.add', { id: 'x', public_keys: {} }),
      { errors: [{ path: '/keys/0' }] },
    ],
    [() => runCommand(config, 'clients.rotate-secret', { id: 'x', overlap_ms: 0 }), { code: 'not_found' }],
    [() => runCommand(config, 'clients.disable', { id: 'x' }), { code: 'not_found' }],
  ];
  for (const [attempt, error] of refusals) await t.rejects(attempt(), error as Error);
  const lines: [string[], RegExp][] = [
    [['add', 'Bad', '--scope', 'a"b'], /^id: "Bad" must be .*\nscopes: .* is not a scope\n$/],
    [['add', 'x', '--public-keys', keyFile(t, 'text')], /^[^\n]* is not a file with JSON in it\.\n$/],
    [
      ['add', 'x', '--public-keys', '/not/there'],
      /^\/not\/there is not a file with JSON in it \(ENOENT\)\.\n$/,
    ],
    [['rotate-secret', 'shop', '--overlap', 'long'], /a duration from 0s to 30d/],
  ];
  for (const [args, line] of lines) {
    const { code, stdout, stderr } = await doorward(place, 'clients', ...args);
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(stderr, line);
  }
  t.match(await runCommand(config, 'clients.list'), [{ client_id: 'shop', disabled_at: null }]);
});
