import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { snippet } from '../../docs/pages.ts';
import { tryToInstall } from '../../support/debian-package.ts';
import { freePort } from '../../support/free-port.ts';
import { listens, start } from '../../support/gateway-program.ts';
import { type RecipeService, withIssuer } from './recipe-services.ts';

const run = promisify(execFile);

/** That of the user, which may have the libraries, and that of Debian, which gets those of Debian's packages. */
const INTERPRETERS = ['python3', '/usr/bin/python3'];

/** The pages, with what they import and Debian's packages of that. */
const pages: Record<string, { modules: string; debianPackages: string[] }> = {
  python: { modules: 'jwt, cryptography', debianPackages: ['python3-jwt', 'python3-cryptography'] },
  authlib: { modules: 'authlib.jose', debianPackages: ['python3-authlib'] },
};

export const pythonNames = Object.keys(pages);

/** Starts a page's code in Python, behind a server of the standard library. */
export async function startPython(t: Test, name: string, issuer: string): Promise<RecipeService> {
  const [python, port] = [await findPython(name), await freePort()];
  const folder = join(t.testdirName, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'recipe.py'),
    withIssuer(snippet(`docs/protect-a-service/${name}.md`, 'python'), issuer),
  );
  copyFileSync('test/recipes/support/serve.py', join(folder, 'serve.py'));
  const service = start(t, python, [join(folder, 'serve.py'), String(port)]);
  await listens(service, port);
  return { url: `http://127.0.0.1:${port}`, service };
}

/** @throws Error that says what to install */
async function findPython(name: string): Promise<string> {
  const { modules, debianPackages } = pages[name] ?? { modules: name, debianPackages: [] };
  const found = await findWith(modules);
  if (found !== undefined) return found;
  const failures: unknown[] = [];
  for (const debianPackage of debianPackages) failures.push(await tryToInstall(debianPackage));
  const installed = await findWith(modules);
  if (installed !== undefined) return installed;
  throw new Error(
    `The tests need a Python 3 that can import ${modules}. Install it ` +
      `(Debian: apt-get install ${debianPackages.join(' ')}).`,
    { cause: failures },
  );
}

async function findWith(modules: string): Promise<string | undefined> {
  for (const python of INTERPRETERS) {
    const works = await run(python, ['-c', `import ${modules}`]).then(
      () => true,
      () => false,
    );
    if (works) return python;
  }
  return undefined;
}
