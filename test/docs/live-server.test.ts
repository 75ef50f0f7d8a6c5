import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { freePort } from '../support/free-port.ts';
import { namesIn, readPage, section, snippet } from './pages.ts';

/** Commands and the answer shown for them. In the answer, … stands for a varying part, or for any lines. */
type Step = { commands: string; answer: string };

type ServiceSnippet = { verifyAccessToken(token: string): Promise<Record<string, unknown>> };

const run = promisify(execFile);
const shownUrl = 'http://localhost:3000';
const exampleUrl = 'https://auth.example.com';
/** Printed after each step, to tell the answers apart. */
const mark = '=== end of step ===';

t.setTimeout(120_000);

const dataFolder = t.testdir();
const url = await startServer();

for (const [page, least] of [
  ['README.md', 3],
  ['docs/tour.md', 12],
  ['docs/revocations.md', 4],
  ['docs/admin-api.md', 8],
] as const) {
  t.test(`every command in ${page} answers as the page shows`, async (t) => {
    const steps = stepsOf(readPage(page));
    t.ok(steps.length >= least, 'the steps were found');

    const script = steps.map(({ commands }) => `${commands}\necho; echo '${mark}'`).join('\n');
    // A tour that fails half-way leaves its cookies behind.
    const env = { ...process.env, TMPDIR: t.testdir(), DATA_DIR: dataFolder };
    const { stdout, stderr } = await run('sh', ['-ec', script.replaceAll(shownUrl, url)], { env });
    t.equal(stderr, '');
    const answers = stdout.replaceAll('\r', '').split(`${mark}\n`);
    for (const [at, { commands, answer }] of steps.entries()) {
      t.match(answers[at]?.trim(), patternOf(answer.replaceAll(shownUrl, url)), commands);
    }
  });
}

t.test('the snippet for jose takes a real token and refuses every other', async (t) => {
  const code = snippet('docs/protect-a-service/jose.md', 'ts').replaceAll(exampleUrl, url);
  const { verifyAccessToken } = await load<ServiceSnippet>(t, code);
  const token = await tokenOfNewUser();
  const claims = await verifyAccessToken(token);

  const [header, , signature] = token.split('.');
  await t.rejects(verifyAccessToken(`${header}.${encode({ ...claims, sub: 'another' })}.${signature}`));
  await t.rejects(verifyAccessToken(`${encode({ alg: 'none', typ: 'at+jwt' })}.${encode(claims)}.`));
  const payments = await load<ServiceSnippet>(t, code.replace("'api'", "'payments'"));
  await t.rejects(payments.verifyAccessToken(token), /aud/);
});

t.test('the table of claims has every claim of a token', async (t) => {
  const [, claims = ''] = (await tokenOfNewUser()).split('.');
  t.same(
    namesIn(section('docs/http-api.md', 'The access token')).sort(),
    Object.keys(JSON.parse(Buffer.from(claims, 'base64url').toString())).sort(),
  );
});

t.test('the table of calls has what /openapi.json has, and the two that describe it', async (t) => {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  t.same(
    namesIn(section('docs/http-api.md', 'Calls')).sort(),
    [...calls, 'GET /docs', 'GET /openapi.json'].sort(),
  );
});

/** Starts the real server on an empty data folder, like `npm start`, but with cheaper hashing. Returns its URL. */
async function startServer(): Promise<string> {
  const port = await freePort();
  const publicUrl = `http://localhost:${port}`;
  const { NODE_V8_COVERAGE, PATH } = process.env;
  const server = spawn(process.execPath, ['src/server.ts'], {
    env: {
      ...{ PATH, NODE_V8_COVERAGE },
      ...{ PORT: String(port), PUBLIC_URL: publicUrl, DATA_DIR: dataFolder },
      ...{ PASSWORD_HASH_MEMORY_KIB: '7168', PASSWORD_HASH_ITERATIONS: '5', MAX_EVENT_LOOP_DELAY: '0s' },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(server, 'exit');
  t.teardown(async () => {
    server.kill('SIGINT');
    await ended;
  });
  for await (const line of createInterface(server.stdout))
    if (line.includes('Doorward is at')) return publicUrl;
  throw new Error('the server did not start');
}

async function tokenOfNewUser(): Promise<string> {
  const body = JSON.stringify({ email: `${randomUUID()}@example.com`, password: randomUUID() });
  const headers = { 'content-type': 'application/json' };
  const signedUp = await fetch(`${url}/signup`, { method: 'POST', headers, body });
  const cookie = signedUp.headers.getSetCookie().map((line) => line.replace(/;.*/, ''));
  const answer = await fetch(`${url}/token`, { method: 'POST', headers: { cookie: cookie.join('; ') } });
  return ((await answer.json()) as { access_token: string }).access_token;
}

/** A step without an answer is one that prints nothing. */
function stepsOf(text: string): Step[] {
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)\n```$/gms)];
  return blocks.flatMap(([, language, commands = ''], at) => {
    if (language !== 'sh') return [];
    const [, nextLanguage, next = ''] = blocks[at + 1] ?? [];
    return [{ commands, answer: nextLanguage === 'text' ? next : '' }];
  });
}

function patternOf(answer: string): RegExp {
  const lines = answer.split('\n').map((line) => {
    if (line === '…') return '(?:.*\\n)*?.*';
    return line.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('…', '[^\\s"\']+');
  });
  return new RegExp(`^${lines.join('\n')}$`);
}

/** Imports the code from a file of its own, so that it finds our packages. */
async function load<Module>(t: Test, code: string): Promise<Module> {
  const file = `${randomUUID()}.mts`;
  return import(pathToFileURL(join(t.testdir({ [file]: code }), file)).href);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
