import { execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { type Test, test } from 'tap';
import { startAuthServer } from './support/auth-server.ts';

const run = promisify(execFile);
/** The file that `tsc` runs. `tsc` itself has no extension, so tap's hooks in child processes cannot load it. */
const tsc = resolve('node_modules/typescript/lib/tsc.js');

/** A service as another team writes it: plain JavaScript, the package and nothing else. */
const service = `
  import { createServer } from 'node:http';
  import { createDoors, VerifierError } from 'doorward/verifier';
  import { createDoorMiddleware } from 'doorward/verifier/express';
  import { doorwardFastify } from 'doorward/verifier/fastify';

  const [issuer] = process.argv.slice(2);
  const door = createDoorMiddleware(createDoors({ verifier: { issuer, audience: 'shop', timeoutMs: 60_000 } }));
  const guard = door('verified');
  const server = createServer((request, response) =>
    guard(request, response, () => response.end(JSON.stringify({ email: request.user.email }))),
  );
  server.listen(0, '127.0.0.1', () => {
    const kinds = [typeof VerifierError, typeof doorwardFastify].join();
    console.log(JSON.stringify({ port: server.address().port, kinds }));
  });
`;

/** The same with types, which must be correct without `skipLibCheck`. */
const typedService = `
  import Fastify from 'fastify';
  import { createVerifier, type TokenClaims, VerifierError } from 'doorward/verifier';
  import { createDoorMiddleware } from 'doorward/verifier/express';
  import { doorwardFastify, userOf } from 'doorward/verifier/fastify';

  const verifier = createVerifier({ issuer: 'https://auth.example.com', audience: 'shop' });
  const app = Fastify();
  app.register(doorwardFastify, { verifier, default: 'open' });
  app.get('/', { config: { door: { door: 'verified', scope: 'a' } } }, async (request) => userOf(request)?.email);
  // @ts-expect-error: there is no such door
  app.get('/typo', { config: { door: 'verifed' } }, async () => 'never');
  export const claims: Promise<TokenClaims> = verifier.verify('x');
  export const isOurs = (error: unknown): boolean => error instanceof VerifierError && error.code === 'token_missing';
  export const middleware: typeof createDoorMiddleware = createDoorMiddleware;
`;

/** A folder of another project, in which the package is installed as `npm pack` would make it. */
async function install(t: Test, packages: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-build-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const home = join(folder, 'node_modules/doorward');
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  mkdirSync(home);
  copyFileSync('package.json', join(home, 'package.json'));
  for (const name of packages) symlinkSync(resolve('node_modules', name), join(folder, 'node_modules', name));
  await run(process.execPath, ['build.ts', join(home, 'dist')]);
  return folder;
}

test('the built package guards a service of another project, with jose and nothing else', async (t) => {
  const auth = await startAuthServer(t);
  const folder = await install(t, ['jose']);
  writeFileSync(join(folder, 'service.mjs'), service);
  const child = spawn(process.execPath, ['service.mjs', auth.url], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const { value = '{}' } = await createInterface(child.stdout)[Symbol.asyncIterator]().next();
  const { port, kinds } = JSON.parse(value);
  t.equal(kinds, 'function,function');
  const ask = async (token: string) => {
    const response = await fetch(`http://127.0.0.1:${port}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return [response.status, await response.json()];
  };
  t.strictSame(await ask(await auth.mint()), [200, { email: 'ada@example.com' }]);
  t.match(await ask(await auth.mint({ aud: 'payments' })), [401, { code: 'audience_mismatch' }]);
});

test('the types of the built package hold in a project of others', async (t) => {
  const folder = await install(t, ['jose', 'fastify', '@types/node']);
  writeFileSync(join(folder, 'service.ts'), typedService);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
  const checked = run(process.execPath, [tsc, ...options, 'service.ts'], { cwd: folder });
  t.equal(
    await checked.then(
      () => '',
      ({ stdout }) => stdout,
    ),
    '',
  );
});
