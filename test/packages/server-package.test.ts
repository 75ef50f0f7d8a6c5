import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { test } from 'tap';
import { endWithThisProcess, sendSignal } from '../support/servers.ts';
import { emptyProject, installWithDependencies, outsideEnvironment, pack, runIn } from './packed.ts';

const ours = await pack(t, 'doorward');
const { version, workspaces } = JSON.parse(readFileSync('package.json', 'utf8'));

/** A folder with nothing but the server and what it depends on. The install takes long, so tests share it. */
const folder = emptyProject(t, {});
await installWithDependencies(folder, ours.file);

/** The command, as the read-me has it. `--no`: if it is missing, npx must not fetch it from elsewhere. */
const npx = ['--no', '--', 'doorward'];

test('installed by npm, the server starts in an empty folder, gives a token, and ends with Ctrl-C', async (t) => {
  t.equal(await runIn(folder, 'npx', ...npx, '--version'), `${version}\n`);
  const server = spawn('npx', npx, {
    cwd: folder,
    env: { ...outsideEnvironment(), PORT: '0', PUBLIC_URL: 'http://localhost:3000' },
    stdio: ['ignore', 'pipe', 'inherit'],
    // npx has a shell run the command. A terminal sends Ctrl-C to all of them, and that is to a process group.
    detached: true,
  });
  const group = -Number(server.pid);
  endWithThisProcess({ end: () => server.stdout.closed || sendSignal(group, 'SIGKILL') });
  const url = await addressOf(server.stdout);
  t.match(await firstToken(url), { token_type: 'Bearer', expires_in: 1800 });
  t.match(JSON.parse(await runIn(folder, 'npx', ...npx, 'keys', 'list', '--json')), [{ status: 'active' }]);
  const socket = join(folder, 'data/doorward.sock');
  t.ok(existsSync(socket));
  sendSignal(group, 'SIGINT');
  // npx may end before the server, whose output ends with it.
  await Promise.all([once(server, 'close'), server.stdout.resume()]);
  t.notOk(existsSync(socket), 'a server that ends in order removes its socket');
});

/** Makes an account. @returns the answer with its first access token */
async function firstToken(url: string): Promise<unknown> {
  const signedUp = await fetch(`${url}/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ada@example.com', password: 'three birds on a wire' }),
  });
  const [cookie = ''] = signedUp.headers.getSetCookie();
  const headers = { cookie: cookie.split(';')[0] ?? '' };
  const token = await fetch(`${url}/token`, { method: 'POST', headers });
  return token.json();
}

async function addressOf(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(output)) {
    const [, url] = /listening on (http\S+)/.exec(JSON.parse(line).msg) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error('The server has ended');
}

test('an old Node gets one line that says what to do', async (t) => {
  const old =
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.11.1' } });";
  writeFileSync(join(folder, 'old-node.cjs'), old);
  await t.rejects(
    runIn(folder, process.execPath, '--require', './old-node.cjs', 'node_modules/.bin/doorward'),
    /^.+ fails:\nDoorward needs Node 24 or later, and this is Node 20\.11\.1: install a newer Node\.\n/,
  );
});

test('holds the command, the server as JavaScript, the migrations and nothing else', async (t) => {
  const sources = filesIn('src').filter((path) => !path.startsWith('src/browser/'));
  const compiled = sources.map((path) => path.replace(/^src/, 'dist').replace(/\.ts$/, '.js'));
  const others = [
    'dist/browser/index.js',
    ...filesIn('bin'),
    ...filesIn('drizzle'),
    'LICENSE',
    'README.md',
    'package.json',
  ];
  t.strictSame(ours.paths, [...compiled, ...others].sort());
  t.notOk(ours.paths.some((path) => /\.ts$|\.map$|test|\.env|\.pem$|\.key$/.test(path)));
});

test('a file of a source that is gone is no longer in the package', async (t) => {
  const folder = emptyProject(t, {});
  const stale = ['dist/gone.js', 'packages/browser/dist/gone.d.ts'].map((path) => join(folder, path));
  for (const path of stale) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }
  await runIn('.', process.execPath, 'build.ts', folder);
  t.strictSame(stale.filter(existsSync), []);
  t.ok(existsSync(join(folder, 'dist/server.js')));
});

function filesIn(folder: string): string[] {
  const paths = globSync(`${folder}/**/*`);
  return paths.filter((path) => statSync(path).isFile());
}

test('all packages have the same version, and the changelog tells of it', async (t) => {
  const packages: string[] = workspaces.filter((path: string) => path.startsWith('packages/'));
  for (const path of packages)
    t.equal(JSON.parse(readFileSync(`${path}/package.json`, 'utf8')).version, version);
  t.match(readFileSync('CHANGELOG.md', 'utf8'), `\n## [${version}]`);
});
