import { spawn } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test, test } from 'tap';
import { type AuthServer, startAuthServer } from '../verifier/support/auth-server.ts';
import { checkTypes, strictestKind } from './compilers.ts';
import { emptyProject, install, installNode, link, outsideEnvironment, pack, runIn } from './packed.ts';

/** A service as another team writes it, in plain JavaScript. `imports` differ between the two kinds of module. */
const service = (imports: string) => `
  ${imports}
  const [issuer] = process.argv.slice(2);
  const verifier = createVerifier({ issuer, audience: 'shop', timeoutMs: 60_000 });
  const guard = createDoorMiddleware(createDoors({ verifier }))('verified');
  const server = createServer((request, response) =>
    guard(request, response, () => response.end(JSON.stringify({ email: request.user.email }))),
  );
  server.listen(0, '127.0.0.1', () => {
    const kinds = [typeof VerifierError, typeof doorwardFastify].join();
    console.log(JSON.stringify({ port: server.address().port, kinds }));
  });
`;
const services = {
  'service.mjs': service(`
    import { createServer } from 'node:http';
    import { createDoors, createVerifier, VerifierError } from '@doorward/verifier';
    import { createDoorMiddleware } from '@doorward/verifier/express';
    import { doorwardFastify } from '@doorward/verifier/fastify';`),
  'service.cjs': service(`
    const { createServer } = require('node:http');
    const { createDoors, createVerifier, VerifierError } = require('@doorward/verifier');
    const { createDoorMiddleware } = require('@doorward/verifier/express');
    const { doorwardFastify } = require('@doorward/verifier/fastify');`),
};

const typedService = `
  import { createVerifier, type TokenClaims, VerifierError } from '@doorward/verifier';
  import { createDoorMiddleware } from '@doorward/verifier/express';

  const verifier = createVerifier({ issuer: 'https://auth.example.com', audience: 'shop' });
  export const claims: Promise<TokenClaims> = verifier.verify('x');
  export const isOurs = (error: unknown): boolean => error instanceof VerifierError && error.code === 'token_missing';
  export const middleware: typeof createDoorMiddleware = createDoorMiddleware;
  // @ts-expect-error: a verifier that takes every token is no verifier
  createVerifier({ issuer: 'https://auth.example.com' });
`;

const typedFastify = `
  import { createVerifier } from '@doorward/verifier';
  import { doorwardFastify, userOf } from '@doorward/verifier/fastify';
  import Fastify from 'fastify';

  const verifier = createVerifier({ issuer: 'https://auth.example.com', audience: 'shop' });
  const app = Fastify();
  app.register(doorwardFastify, { verifier, default: 'open' });
  app.get('/', { config: { door: { door: 'verified', scope: 'a' } } }, async (request) => userOf(request)?.email);
  // @ts-expect-error: there is no such door
  app.get('/typo', { config: { door: 'verifed' } }, async () => 'never');
`;

const [ours, jose] = [await pack(t, '@doorward/verifier'), await pack(t, 'jose')];

/** An empty project with what \`npm install @doorward/verifier\` brings. */
async function project(t: Test, packageJson: object = {}): Promise<string> {
  const folder = emptyProject(t, packageJson);
  await install(folder, ours.file, jose.file);
  return folder;
}

type Service = { folder: string; file: string; node: string };

async function start(t: Test, { folder, file, issuer, node }: Service & { issuer: string }) {
  const child = spawn(node, [file, issuer], {
    cwd: folder,
    env: outsideEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const { value = '{}' } = await createInterface(child.stdout)[Symbol.asyncIterator]().next();
  return JSON.parse(value);
}

/** Starts the service as both kinds of module, and asks each with a good token and with a bad one. */
async function guardsServices(
  t: Test,
  { auth, folder, node }: { auth: AuthServer; folder: string; node: string },
): Promise<void> {
  for (const [file, code] of Object.entries(services)) {
    writeFileSync(join(folder, file), code);
    const { port, kinds } = await start(t, { folder, file, node, issuer: auth.url });
    t.equal(kinds, 'function,function', file);
    const ask = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`http://127.0.0.1:${port}`, { headers });
      return [response.status, await response.json()];
    };
    t.strictSame(await ask(await auth.mint()), [200, { email: 'ada@example.com' }], file);
    t.match(await ask(await auth.mint({ aud: 'payments' })), [401, { code: 'audience_mismatch' }], file);
  }
}

test('brings jose and nothing else, and guards a service of another project', async (t) => {
  const auth = await startAuthServer(t);
  const folder = await project(t);
  const listed = JSON.parse(await runIn(folder, 'npm', 'ls', '--all', '--json', '--offline'));
  t.strictSame(Object.keys(listed.dependencies).sort(), ['@doorward/verifier', 'jose']);
  await guardsServices(t, { auth, folder, node: process.execPath });
});

test('does so on the oldest Node that its package.json allows', async (t) => {
  const { engines } = JSON.parse(readFileSync('packages/verifier/package.json', 'utf8'));
  const [, oldest = ''] = /^\^(\d+\.\d+\.\d+) /.exec(engines.node) ?? [];
  const node = await installNode(t, oldest);
  t.equal(await runIn('.', node, '--version'), `v${oldest}\n`);
  await guardsServices(t, { auth: await startAuthServer(t), folder: await project(t), node });
});

test('imported and required, it is one module in the process', async (t) => {
  const folder = await project(t);
  const lines = [
    "import { createRequire } from 'node:module';",
    "import * as imported from '@doorward/verifier';",
    "const required = createRequire(import.meta.url)('@doorward/verifier');",
    'console.log(imported.VerifierError === required.VerifierError);',
  ];
  writeFileSync(join(folder, 'both.mjs'), lines.join('\n'));
  t.equal(await runIn(folder, process.execPath, 'both.mjs'), 'true\n');
});

test('its types hold for the supported compilers, in every kind of project', async (t) => {
  const folder = await project(t);
  await checkTypes(t, folder, typedService, { skipLibCheck: false });
});

test('its types for Fastify hold as well', async (t) => {
  const folder = await project(t);
  link(folder, 'fastify', '@types/node');
  // Today's types of Node are too new for the oldest compiler.
  await checkTypes(t, folder, typedFastify, { types: ['node'], skipLibCheck: true }, strictestKind);
});

test('holds code, types, licence and read-me, and no source', async (t) => {
  const names = globSync('*.ts', { cwd: 'src/verifier' }).map((path) => path.replace(/\.ts$/, ''));
  const modules = names.flatMap((name) => ['.js', '.d.ts', '.d.cts'].map((kind) => `dist/${name}${kind}`));
  const entries = ['index', 'fastify', 'express'].map((name) => `dist/${name}.cjs`);
  t.strictSame(ours.paths, [...modules, ...entries, 'LICENSE', 'README.md', 'package.json'].sort());
});
