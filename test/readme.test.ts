import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { settingNames } from '../src/config/config.ts';
import { settingsMarkdown } from '../src/config/config-docs.ts';
import type { ErrorCode } from '../src/core/errors.ts';
import { ProblemSchema, problemOf } from '../src/http/problem.ts';
import { freePort } from './support/servers.ts';

/** Commands of the tour and the answer shown for them. There … stands for what differs, or for any lines. */
type Step = { commands: string; answer: string };

type ServiceSnippet = { verifyAccessToken(token: string): Promise<Record<string, unknown>> };
type PageSnippet = { refresh(): Promise<boolean>; accessToken(): Promise<string | null> };

const run = promisify(execFile);
const readme = readFileSync('README.md', 'utf8');
const pages = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
const tourUrl = 'http://localhost:3000';
const exampleUrl = 'https://auth.example.com';
/** Printed after each step, to tell the answers apart. */
const mark = '=== end of step ===';

const url = await startServer();

t.test('every command of the tour answers as the README shows', async (t) => {
  const steps = stepsOf(section('Five-minute tour'));
  t.ok(steps.length > 10, 'the steps were found');

  const script = steps.map(({ commands }) => `${commands}\necho; echo '${mark}'`).join('\n');
  // A tour that fails half-way leaves its cookies behind.
  const env = { ...process.env, TMPDIR: t.testdir() };
  const { stdout, stderr } = await run('sh', ['-ec', script.replaceAll(tourUrl, url)], { env });
  t.equal(stderr, '');
  const answers = stdout.replaceAll('\r', '').split(`${mark}\n`);
  for (const [at, { commands, answer }] of steps.entries()) {
    t.match(answers[at]?.trim(), patternOf(answer.replaceAll(tourUrl, url)), commands);
  }
});

t.test('the snippet for services takes a real token and refuses every other', async (t) => {
  const code = snippetOf('In your services').replaceAll(exampleUrl, url);
  const { verifyAccessToken } = await load<ServiceSnippet>(t, code);
  const token = await tokenOfNewUser();

  const claims = await verifyAccessToken(token);
  t.same(
    Object.keys(claims).sort(),
    namesIn(section('In your services')).sort(),
    'the table has every claim',
  );

  const [header, , signature] = token.split('.');
  await t.rejects(verifyAccessToken(`${header}.${encode({ ...claims, sub: 'another' })}.${signature}`));
  await t.rejects(verifyAccessToken(`${encode({ alg: 'none', typ: 'at+jwt' })}.${encode(claims)}.`));
  const payments = await load<ServiceSnippet>(t, code.replace("'api'", "'payments'"));
  await t.rejects(payments.verifyAccessToken(token), /aud/);
});

t.test(
  'the snippet for pages refreshes a minute early and keeps its token while nobody can tell',
  async (t) => {
    const { refresh, accessToken } = await load<PageSnippet>(t, snippetOf('In the browser'));
    const startedAt = Date.now();
    let now = startedAt;
    t.intercept(Date, 'now', { value: () => now });
    let answer = () => Response.json({ access_token: 'made at run time', expires_in: 1800 });
    const requests = t.capture(globalThis, 'fetch', async () => answer());

    t.equal(await refresh(), true);
    t.match(requests(), [{ args: [`${exampleUrl}/token`, { method: 'POST', credentials: 'include' }] }]);
    answer = () => new Response(null, { status: 503 });
    now = startedAt + 29 * 60_000 - 1;
    t.equal(await accessToken(), 'made at run time');
    t.same(requests(), [], 'asks nobody while more than a minute is left');

    now += 1;
    t.equal(await accessToken(), 'made at run time', 'keeps it after a 503');
    t.equal(requests().length, 1);
    await t.rejects(refresh(), /503/, 'and does not say that anybody is signed out');
    now = startedAt + 30 * 60_000;
    await t.rejects(accessToken(), /503/, 'but never hands out one that is over');

    answer = () => new Response(null, { status: 404 });
    t.equal(await refresh(), false);
    t.equal(await accessToken(), null);
  },
);

t.test('the table of calls has what /openapi.json has, and the two that describe it', async (t) => {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  t.same(namesIn(section('Calls')).sort(), [...calls, 'GET /docs', 'GET /openapi.json'].sort());
});

t.test('the settings table is what `doorward settings --markdown` prints', async (t) => {
  const [table] = captures(readme, /<!-- settings -->\n(.*)<!-- \/settings -->/gs);
  t.equal(table, settingsMarkdown());
});

t.test('the table of errors is the one in the code, and the example is a real one', async (t) => {
  const codes = (ProblemSchema.properties.code as unknown as { enum: ErrorCode[] }).enum;
  const rows = codes.map((code) => {
    const { title, status } = problemDocument({ code });
    return `| \`${code}\` | ${status} | ${title} |`;
  });
  t.same(section('Errors').match(/^\| `.*$/gm), rows);

  const [text = ''] = captures(section('Errors'), /```json\n(.*?)```/gs);
  const example = JSON.parse(text);
  t.same(example, problemDocument(example));
});

for (const page of pages) {
  t.test(`${page} names settings, scripts, files and headings that exist`, async (t) => {
    const text = readFileSync(page, 'utf8');
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    const anchors = captures(text, /^#+ (.*)$/gm).map((title) => title.toLowerCase().replaceAll(' ', '-'));
    t.same(
      settingsIn(text).filter((name) => !isSetting(name)),
      [],
    );
    t.same(
      captures(text, /npm run ([\w:-]+)/g).filter((script) => !(script in scripts)),
      [],
    );
    t.same(
      captures(text, /\]\(([\w./-]+)\)/g).filter((path) => !existsSync(path)),
      [],
    );
    t.same(
      captures(text, /\]\(#([\w-]+)\)/g).filter((anchor) => !anchors.includes(anchor)),
      [],
    );
  });
}

/** Starts the real server on an empty data folder, as `npm start` does; only the hashing is cheaper. Returns its URL. */
async function startServer(): Promise<string> {
  const port = await freePort();
  const publicUrl = `http://localhost:${port}`;
  const { NODE_V8_COVERAGE, PATH } = process.env;
  const server = spawn(process.execPath, ['src/server.ts'], {
    env: {
      ...{ PATH, NODE_V8_COVERAGE },
      ...{ PORT: String(port), PUBLIC_URL: publicUrl, DATA_DIR: t.testdir() },
      ...{ PASSWORD_HASH_MEMORY_KIB: '7168', PASSWORD_HASH_ITERATIONS: '1', MAX_EVENT_LOOP_DELAY: '0s' },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(server, 'exit');
  t.teardown(async () => {
    server.kill('SIGINT');
    await ended;
  });
  const lines = createInterface(server.stdout);
  const [line] = await Promise.race([once(lines, 'line'), ended]);
  if (!String(line).includes('Doorward is at')) throw new Error(`the server did not start: ${line}`);
  return publicUrl;
}

async function tokenOfNewUser(): Promise<string> {
  const body = JSON.stringify({ email: `${randomUUID()}@example.com`, password: randomUUID() });
  const headers = { 'content-type': 'application/json' };
  const signedUp = await fetch(`${url}/signup`, { method: 'POST', headers, body });
  const cookie = signedUp.headers.getSetCookie().map((line) => line.replace(/;.*/, ''));
  const answer = await fetch(`${url}/token`, { method: 'POST', headers: { cookie: cookie.join('; ') } });
  return ((await answer.json()) as { access_token: string }).access_token;
}

/** The text of the README under a heading of the second level. */
function section(title: string): string {
  const [, text] = readme.split(`\n## ${title}\n`);
  if (text === undefined) throw new Error(`the README has no section "${title}"`);
  return text.split('\n## ')[0] ?? '';
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

function snippetOf(title: string): string {
  const [code] = captures(section(title), /^```js\n(.*?)^```$/gms);
  if (code === undefined) throw new Error(`the section "${title}" has no snippet`);
  return code;
}

/** Imports the code from a file of its own, so that it finds our packages. */
async function load<Module>(t: Test, code: string): Promise<Module> {
  const file = `${randomUUID()}.mjs`;
  return import(pathToFileURL(join(t.testdir({ [file]: code }), file)).href);
}

/** What stands in backticks in the first column of a table. */
function namesIn(text: string): string[] {
  return captures(text, /^\| (`.*?) \|/gm).flatMap((cell) => captures(cell, /`([^`]+)`/g));
}

function problemDocument(problem: { code: ErrorCode }): Record<string, unknown> {
  return JSON.parse(problemOf({ detail: undefined, errors: undefined, ...problem }).body);
}

function settingsIn(text: string): string[] {
  return captures(text, /(?:`|export )([A-Z]\w*_\w+)(?==|`)/g);
}

function isSetting(name: string): boolean {
  const known = [
    ...settingNames,
    'TEST_DATABASE_URL',
    'TEST_REDIS_URL',
    'BENCH_EMAIL',
    'BENCH_PASSWORD',
    'FOO',
  ] as string[];
  return known.includes(name.replace(/_FILE$/, ''));
}

/** The first group of each match. */
function captures(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, group = '']) => group);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
