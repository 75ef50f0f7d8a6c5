/** The commands of k8s/README.md, as far as they can be run without a cluster. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Secret } from 'kubernetes-models/v1/Secret';
import { type Test, test } from 'tap';
import { namesIn, section, snippets } from '../docs/pages.ts';
import { emptyFolder, startServer } from '../e2e/server-process.ts';
import { environmentFor, startApiServer } from './api-server.ts';
import { components, type Manifest, overlays, renderOverlay } from './rendering.ts';
import { complaintsOf } from './schemas.ts';
import { findTool } from './tools.ts';
import { environmentOf, getWorkload, secretFilesOf } from './workloads.ts';

const run = promisify(execFile);
const page = 'k8s/README.md';
const kubectl = await findTool('kubectl');
const blocks = snippets(page, 'sh').map((block) => block.trim().split('\n'));
const commands = blocks.flat();
const [token = [], secrets = [], release = []] = blocks;
const objects: Record<string, Manifest[]> = Object.fromEntries(
  await Promise.all(overlays.map(async (name) => [name, await renderOverlay(name)])),
);

/** The calls of kubectl in a line, as words. Quotes of the shell are gone, and so is what is piped into it. */
const callsIn = (line: string): string[][] =>
  [...line.matchAll(/\bkubectl ([^|&]*)/g)].map(([, words = '']) =>
    [...words.replace(/ #.*/, '').matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, ...groups]) =>
      groups.join(''),
    ),
  );

test('from an empty cluster to a token it takes five commands', async (t) => {
  t.equal(token.length, 5);
});

test('its tables have every overlay and every component', async (t) => {
  const named = [...namesIn(readFileSync(page, 'utf8')), ...namesIn(section(page, 'Components'))];
  const missing = [...components, ...overlays.map((name) => `overlays/${name}`)].filter(
    (name) => !named.includes(name),
  );
  t.same(missing, []);
});

/** An error that only a missing cluster can cause. */
const NO_CLUSTER = /127\.0\.0\.1:1: connect|127\.0\.0\.1:1 was refused/;

test('kubectl understands each of its commands', async (t) => {
  const env = environmentFor(t.testdir(), 1);
  const inText = [...readFileSync(page, 'utf8').matchAll(/`(kubectl [^`]+)`/g)].map(([, line = '']) => line);
  const calls = [...commands, ...inText].flatMap(callsIn).filter(([first]) => first !== undefined);
  t.ok(calls.length > 12, 'they were found');
  await Promise.all(calls.map((words) => hasOnlyNoCluster(t, words, env)));
  await hasOnlyNoCluster(t, ['rollout', 'undo', 'deployment/doorward'], env);
  const slip = await run(kubectl, ['rollout', 'status', '--timeuot=5m'], { env }).catch(
    ({ stderr }) => stderr,
  );
  t.notMatch(slip, NO_CLUSTER, 'a slip would be found');
});

async function hasOnlyNoCluster(t: Test, words: string[], env: Record<string, string>): Promise<void> {
  // The folder of secrets does not exist here.
  const args = words.map((word) => word.replace(/^--from-file=secrets$/, '--from-literal=any=any'));
  const object = '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"any"}}';
  const script = `echo '${object}' | "$@"`;
  const failure = await run('sh', ['-c', script, 'sh', kubectl, ...args], { env }).catch(
    ({ stderr }) => stderr,
  );
  t.match(failure, NO_CLUSTER, words.join(' '));
}

test('each object that a command names is made by an overlay, in that namespace', async (t) => {
  const all = Object.values(objects).flat();
  for (const words of commands.flatMap(callsIn)) {
    const namespace = words[words.indexOf('-n') + 1];
    const named = words.flatMap((word, at) => {
      const [, kind, name] = /^(deployment|job|service)\/([\w-]+)$/.exec(word) ?? [];
      if (kind !== undefined) return [{ kind, name }];
      return word === 'job' ? [{ kind: word, name: words[at + 1] }] : [];
    });
    for (const { kind, name } of named)
      t.ok(
        all.some(
          (one) =>
            one.kind.toLowerCase() === kind &&
            one.metadata.name === name &&
            one.metadata.namespace === namespace,
        ),
        `${namespace}/${kind}/${name}`,
      );
  }
});

test('a release applies the migration and what it needs, waits for it, and then applies the server', async (t) => {
  const production = objects.production ?? [];
  const [remove = '', first = '', wait = '', second = '', last = ''] = release;
  t.match(remove, /^kubectl delete job doorward-migrate /);
  t.match(wait, /^kubectl wait job\/doorward-migrate .*complete/);
  t.match(last, /^kubectl rollout status deployment\/doorward /);
  const applied = await Promise.all([first, second].map((line) => createdBy(t, line, production)));
  const [before = [], all = []] = applied;
  t.same(all.toSorted(), production.map(({ kind, metadata }) => `${kind}/${metadata.name}`).toSorted());
  const later = all.filter((one) => !before.includes(one));
  t.same(later.toSorted(), [
    'Deployment/doorward',
    'HorizontalPodAutoscaler/doorward',
    'PodDisruptionBudget/doorward',
    'Service/doorward',
  ]);
  t.ok(before.indexOf('Namespace/doorward') === 0, 'the namespace is made first');
});

/** What kubectl creates in an empty cluster. */
async function createdBy(t: Test, line: string, known: Manifest[]): Promise<string[]> {
  const folder = await emptyFolder(t);
  const server = await startApiServer({ teardown: (undo) => t.teardown(undo), testdir: () => folder }, known);
  const [words = []] = callsIn(line);
  await run(kubectl, [...words, '--validate=false'], { env: server.environment });
  return server.created;
}

test('the Secret of production has what the server mounts, each key of its own', async (t) => {
  const folder = t.testdir();
  const env = environmentFor(t.testdir(), 1);
  const [, ...making] = secrets;
  const script = making
    .map((line) => line.replace(/^(cat > \S+).*/, "echo 'typed in' | $1"))
    .map((line) => line.replace(/^kubectl (.*)/, `'${kubectl}' $1 --dry-run=client -o json`));
  const { stdout } = await run('sh', ['-ec', script.join('\n')], { cwd: folder, env });
  const secret = JSON.parse(stdout) as Manifest;
  t.same(await complaintsOf(secret), []);
  const { data = {} } = Secret.is(secret) ? secret : {};
  t.equal(
    Buffer.from(Buffer.from(data['key-encryption-key'] ?? '', 'base64').toString(), 'base64').length,
    32,
  );
  const production = objects.production ?? [];
  const server = getWorkload(production, 'doorward');
  const files = secretFilesOf(server, (name) => (name === secret.metadata.name ? Object.keys(data) : []));
  for (const [name, path] of Object.entries(environmentOf(production, server)))
    if (name.endsWith('_FILE')) t.ok(files.has(path), name);
  t.equal(secret.metadata.namespace, server.namespace);
  t.same(readdirSync(join(folder, 'secrets')).length, 4);
});

test('the last of the five commands ends with a token, and the client of payments gets a secret', async (t) => {
  const DATA_DIR = await emptyFolder(t);
  const server = startServer(t, { EMBEDDED: 'true', DATA_DIR, AUDIENCES: 'shop,payments' });
  const url = await server.url();
  const curl = String(token[4]).replace(/^kubectl port-forward [^&]*& /, '');
  t.match(curl, /^curl /);
  const script = curl.replaceAll('http://localhost:3000', url.replace('127.0.0.1', 'localhost'));
  const { stdout } = await run('sh', ['-ec', script], { cwd: t.testdir() });
  t.match(stdout, /"access_token":"[\w-]+\.[\w-]+\.[\w-]+"[^{}]*\}$/);

  const [, inPod = ''] = /-- sh -c "(.*)" \|/.exec(commands.at(-1) ?? '') ?? [];
  const { PATH } = process.env;
  const answer = await run('sh', ['-ec', inPod], { env: { PATH, DATA_DIR, EMBEDDED: 'true' } });
  t.match(answer.stdout, /^[\w-]{20,}\n$/);
});
