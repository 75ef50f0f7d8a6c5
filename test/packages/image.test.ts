import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import t, { type Test, test } from 'tap';
import { makeSbom } from '../../release/sbom.ts';
import { cookiesOf, postJson } from '../e2e/server-process.ts';
import { createPlace, newCredentials, quickSettings, runSql } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { buildImages, type Image } from '../support/image/build-image.ts';
import { type Entry, enter, insideOf, runInside } from '../support/image/sandbox.ts';
import { endWithThisProcess } from '../support/servers.ts';

const scratch = mkdtempSync(join(tmpdir(), 'doorward-image-'));
// Hundreds of megabytes: they go even if the test runs out of time.
endWithThisProcess({ end: () => rmSync(scratch, { recursive: true, force: true }) });
const { images, sizes } = await buildImages('.', scratch);
for (const { stage, step, bytes } of sizes)
  if (bytes >= 50_000) t.comment(`${(bytes / 1e6).toFixed(1)} MB by ${step} in ${stage}`);

function image(name: string): Image {
  const found = images.get(name);
  if (found === undefined) throw new Error(`the Dockerfile makes no ${name}`);
  return found;
}

/** Neither the user of the image nor one that it knows, in root's group: such users are what OpenShift gives. */
const ANY_USER = '12345:0';

/** How a strict engine starts a program of the image: any user, nothing writable, and no shell or tools either. */
function container(of: Image, env: Record<string, string>, command = of.command): Entry {
  const { root, workdir, entrypoint } = of;
  const limits = { user: ANY_USER, readOnly: true, withTools: false, volumes: [] };
  return { root, workdir, command: [...entrypoint, ...command], env: { ...of.env, ...env }, ...limits };
}

type Container = { output(): string; stop(): Promise<number> };

/** Starts the program and waits for the line that says that it is ready. It ends with the test. */
async function start(t: Test, entry: Entry, ready: RegExp): Promise<Container> {
  const around = enter(entry);
  const ended = once(around, 'close').then(([code]) => code as number);
  t.teardown(async () => {
    around.kill('SIGKILL');
    await ended;
  });
  const lines: string[] = [];
  await Promise.race([linesUntil(around, ready, lines), ended]);
  if (!lines.some((line) => ready.test(line))) throw new Error(`it did not start:\n${lines.join('\n')}`);
  const stop = () => {
    process.kill(insideOf(around), 'SIGTERM');
    return ended;
  };
  return { output: () => lines.join('\n'), stop };
}

function linesUntil({ stdout, stderr }: ChildProcess, ready: RegExp, lines: string[]): Promise<void> {
  return new Promise((resolve) => {
    for (const stream of [stdout, stderr]) {
      if (stream === null) continue;
      createInterface(stream).on('line', (line) => {
        lines.push(line);
        if (ready.test(line)) resolve();
      });
    }
  });
}

/** An empty place without a schema, in production, with the limits of tests. */
async function production(t: Test): Promise<Record<string, string>> {
  const { NODE_ENV, LOG_LEVEL, ...quick } = quickSettings;
  const place = await createPlace(t);
  await runSql(
    place.DATABASE_URL,
    'drop schema public cascade; drop schema drizzle cascade; create schema public',
  );
  const address = {
    HOST: '127.0.0.1',
    PORT: String(await freePort()),
    PUBLIC_URL: 'https://auth.example.com',
    SMTP_URL: 'smtps://mail.example.com',
  };
  return { ...quick, ...place, ...address, DRAIN_DELAY: '0s', MIGRATE_ON_START: 'false' };
}

test('the server image migrates, serves, is healthy and ends on SIGTERM', async (t) => {
  const server = image('server');
  const env = await production(t);
  const migration = await runInside(container(server, env, ['doorward', 'migrate']));
  t.match(migration, { code: 0, stdout: /^The schema is up to date: .*\n$/, stderr: '' });

  const running = await start(t, container(server, env), /Its data is in PostgreSQL/);
  const url = `http://127.0.0.1:${env.PORT}`;
  const signedUp = await postJson(`${url}/signup`, newCredentials());
  t.equal(signedUp.status, 201);
  const minted = await postJson(`${url}/token`, undefined, cookiesOf(signedUp));
  const { access_token: token } = (await minted.json()) as { access_token: string };
  const keys = createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`));
  const { payload } = await jwtVerify(token, keys, { issuer: 'https://auth.example.com', audience: 'api' });
  t.match(payload.sub, /^[0-9a-f-]{36}$/);
  t.equal((await fetch(`${url}/health/ready`)).status, 200);
  t.match(await runInside(container(server, env, server.healthCheck)), { code: 0, stdout: '', stderr: '' });

  t.equal(server.stopSignal, 'SIGTERM');
  t.equal(await running.stop(), 0);
  t.notMatch(running.output(), /"level":[456]0|EROFS|EACCES|Warning/, 'it never missed a place to write to');
  t.match(await runInside(container(server, env, server.healthCheck)), { code: 1 });
});

test('nothing in the server image can be written, not even by root', async (t) => {
  const program = `
    const { accessSync, constants, writeFileSync } = require('node:fs');
    for (const folder of ['/', '/app', '/app/data', '/app/src', '/app/node_modules', '/tmp', '/usr/local/bin'])
      try { writeFileSync(folder + '/file', ''); console.log(folder); } catch ({ code }) { console.log(code); }`;
  for (const user of [ANY_USER, '0:0']) {
    const entry = { ...container(image('server'), {}, ['node', '-e', program]), user };
    t.match(await runInside(entry), { code: 0, stdout: 'EROFS\n'.repeat(7) }, user);
  }
});

test('any user can run the server image embedded, on a volume of the image', async (t) => {
  const server = image('server');
  t.strictSame(server.volumes, ['/app/data']);
  const volume = mkdtempSync(join(scratch, 'volume-'));
  // A new volume gets the owner and the rights of the folder in the image.
  chownSync(volume, 1000, 0);
  chmodSync(volume, 0o770);
  const env = { EMBEDDED: 'true', HOST: '127.0.0.1', PORT: '0', PUBLIC_URL: 'https://auth.example.com' };
  const entry = container(server, { ...env, DRAIN_DELAY: '0s' });
  const running = await start(t, { ...entry, volumes: [[volume, '/app/data']] }, /Its data is in \.\/data/);
  t.equal(await running.stop(), 0);
});

test('images run as a user by number, who is not root, and say what they are', async (t) => {
  const { version, license } = JSON.parse(readFileSync('package.json', 'utf8'));
  t.equal(image('server').user, '1000:1000');
  t.equal(image('examples').user, '1000:1000');
  t.match(image('server').labels, {
    'org.opencontainers.image.title': 'Doorward',
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
    'org.opencontainers.image.revision': 'unknown',
    'org.opencontainers.image.source': 'unknown',
    'org.opencontainers.image.base.name': /^node:/,
  });
});

test('images with Node have no package manager, and the server image none of our development', async (t) => {
  for (const name of ['server', 'examples']) {
    const managers = globSync('**/{npm,npx,corepack,yarn,yarnpkg,pnpm}', { cwd: image(name).root });
    t.strictSame(managers, [], name);
  }
  const app = join(image('server').root, 'app');
  const installed = globSync('node_modules/{typescript,tap,esbuild,@biomejs,@types,@doorward}', { cwd: app });
  t.strictSame(installed, []);
  t.strictSame(globSync('*', { cwd: app }).sort(), [
    'LICENSE',
    'bin',
    'data',
    'drizzle',
    'node_modules',
    'package.json',
    'src',
  ]);
});

test('the bill of materials names all that is installed in the server image, and else only what other platforms need', async (t) => {
  const listing = join(image('server').root, 'app/node_modules/.package-lock.json');
  const { packages } = JSON.parse(readFileSync(listing, 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const installed = Object.entries(packages).map(
    ([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version}`,
  );
  const { components } = makeSbom('.');
  const named = (parts: typeof components) => new Set(parts.map((one) => `${one.name}@${one.version}`));
  t.strictSame(
    installed.filter((one) => !named(components).has(one)),
    [],
  );
  const needed = named(components.filter(({ scope }) => scope !== 'optional'));
  t.strictSame(
    [...needed].filter((one) => !installed.includes(one)),
    [],
  );
});

test('the examples image runs each service, for any user', async (t) => {
  const services = { 'shop/shop.js': /Server listening/, 'payments/payments.js': /Server listening/ };
  for (const [path, ready] of Object.entries(services)) {
    const secret = mkdtempSync(join(scratch, 'credentials-'));
    chmodSync(secret, 0o755);
    const env = {
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'info',
      DOORWARD_URL: 'http://localhost:8080/auth',
    };
    const entry = container(image('examples'), { ...env, CLIENT_SECRET: 'none' }, [
      'node',
      `examples/${path}`,
    ]);
    const running = await start(t, entry, ready);
    t.equal(await running.stop(), 0, path);
  }
});

test('the gateway image has the template, the page and the browser module where nginx looks for them', async (t) => {
  const { root, env } = image('gateway');
  const template = readFileSync(join(root, 'etc/nginx/templates/default.conf.template'), 'utf8');
  t.match(template, /proxy_pass/);
  t.ok(globSync('index.html', { cwd: root + env.PAGE_ROOT }).length);
  t.ok(globSync('index.js', { cwd: root + env.BROWSER_ROOT }).length);
});
