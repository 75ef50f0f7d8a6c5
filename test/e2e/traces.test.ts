import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { t as root, type Test, test } from 'tap';
import { createPlace, newCredentials } from '../helper.ts';
import { type ReceivedSpan, startCollector } from '../support/otlp-collector.ts';
import { cookiesOf, emptyFolder, postJson, startServer } from './server-process.ts';

/** Signs up, mints a token and signs out, with secrets in every place that a request has. @returns the secrets */
async function visit(url: string): Promise<string[]> {
  const marks = { query: mark(), bearer: mark(), agent: mark(), path: mark() };
  const credentials = newCredentials();
  const signedUp = await postJson(`${url}/signup?next=${marks.query}`, credentials);
  const cookie = cookiesOf(signedUp);
  const { user } = (await signedUp.json()) as { user: { id: string } };
  const minted = await postJson(`${url}/token`, {}, cookie);
  const { access_token } = (await minted.json()) as { access_token: string };
  const headers = {
    cookie,
    authorization: `Bearer ${marks.bearer}`,
    'user-agent': marks.agent,
    baggage: `user=${marks.query}`,
  };
  await fetch(`${url}/forward-auth?audience=${marks.query}`, { headers });
  await fetch(`${url}/sessions/${marks.path}`, { method: 'DELETE', headers });
  await postJson(`${url}/login`, { ...credentials, password: mark() });
  await postJson(`${url}/logout`, undefined, cookie);
  await postJson(`${url}/token`, {}, cookie);
  await fetch(`${url}/${marks.path}`);
  await fetch(`${url}/health/ready`);
  const [, generateToken = ''] = cookie.split('=');
  const { email, password } = credentials;
  return [...Object.values(marks), email, password, generateToken, access_token, user.id, '127.0.0.1'];
}

function mark(): string {
  return `mark${randomBytes(8).toString('hex')}`;
}

/** The spans of one route, those of later requests left out: each as its path of names from the request down. */
function pathsOf(spans: ReceivedSpan[], route: string): string[] {
  const request = spans.find(({ name }) => name === route);
  const trace = spans.filter(({ traceId }) => traceId === request?.traceId);
  const pathOf = ({ name, parentSpanId }: ReceivedSpan): string => {
    const parent = trace.find(({ spanId }) => spanId === parentSpanId);
    return parent === undefined ? name : `${pathOf(parent)} > ${name}`;
  };
  return trace.map(pathOf);
}

/** Making a database takes seconds: the embedded servers use one, one after the other. */
const DATA_DIR = await emptyFolder(root);

const places = [
  { name: 'on PostgreSQL and Redis', open: createPlace },
  { name: 'embedded', open: async (): Promise<Record<string, string>> => ({ DATA_DIR }) },
];

for (const { name, open } of places) {
  test(`shows where a request spends its time, and tells nothing of whom it is about, ${name}`, async (t) => {
    const collector = await startCollector(t);
    const env = { ...(await open(t)), OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
    const server = startServer(t, env);
    const secrets = await visit(await server.url());
    t.equal(await server.end('SIGINT'), 0);

    const spans = collector.spans();
    const expected = {
      'POST /signup': ['transaction > accounts.insert', 'transaction > sessions.insert'],
      'POST /token': ['cache.get'],
      'POST /logout': ['transaction > sessions.end', 'transaction > deliver sessions_ended > cache.put'],
    };
    for (const [route, below] of Object.entries(expected)) {
      const paths = pathsOf(spans, route);
      for (const path of ['', ...below].map((path) => (path === '' ? route : `${route} > ${path}`)))
        t.ok(paths.includes(path), path);
    }
    t.ok(spans.some(({ name, statusCode }) => name === 'DELETE /sessions/:id' && statusCode === 0));
    t.notOk(spans.some(({ attributes }) => /health/.test(String(attributes['http.route']))));
    for (const secret of secrets) t.notOk(collector.payload().includes(secret), 'no secret');

    const logged = server.stdout.split('\n').filter((line) => line.includes('"route":"/signup"'));
    const { traceId } = JSON.parse(String(logged[0]));
    t.equal(traceId, spans.find(({ name }) => name === 'POST /signup')?.traceId, 'a log line leads there');
  });
}

/** Run in the server before anything else: at its end it says what was loaded, by `import` or by `require`. */
const sayLoaded = `data:text/javascript,${encodeURIComponent(`
  import { writeFileSync } from 'node:fs';
  import { registerHooks } from 'node:module';
  const loaded = new Set();
  registerHooks({ load(url, context, next) { loaded.add(url); return next(url, context); } });
  process.on('exit', () => writeFileSync(process.env.LOADED_FILES, [...loaded].join('\\n')));
`)}`;

/** @returns a server, and a way to know which files of OpenTelemetry it has loaded when it has ended */
function startWatched(t: Test, env: Record<string, string>) {
  const file = join(DATA_DIR, 'loaded-files');
  const nodeArgs = ['--import', sayLoaded];
  const server = startServer(t, { DATA_DIR, LOADED_FILES: file, ...env }, { nodeArgs });
  const findLoaded = async () => {
    const loaded = (await readFile(file, 'utf8')).split('\n');
    t.ok(loaded.some((url) => url.endsWith('/node_modules/fastify/fastify.js')));
    return loaded.filter((url) => /opentelemetry|@fastify\/otel|in-the-middle/.test(url));
  };
  return { server, findLoaded };
}

test('loads nothing of OpenTelemetry unless a collector is set', async (t) => {
  const { server, findLoaded } = startWatched(t, {});
  t.equal((await fetch(`${await server.url()}/me`)).status, 401);
  t.equal(await server.end('SIGINT'), 0);
  t.same(await findLoaded(), []);
});

test('serves on, and ends in time, when the collector never answers', async (t) => {
  const { url: silent } = await startCollector(t, () => {});
  const { server, findLoaded } = startWatched(t, { OTEL_EXPORTER_OTLP_ENDPOINT: silent });
  t.equal((await fetch(`${await server.url()}/me`)).status, 401);
  t.equal(await server.end('SIGINT'), 0);
  t.match(server.messages().at(-1), /traces are lost.*in time/);
  t.ok((await findLoaded()).length > 50, 'the test before this one can fail');
});
