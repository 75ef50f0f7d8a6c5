import { join } from 'node:path';
import { t as root, test } from 'tap';
import { compile } from '../browser/support/built-module.ts';
import { buildPackage } from '../support/gateway-world.ts';
import { codeBlocks, pages } from './pages.ts';

/** How the code of some pages is checked. */
type Project = { pages: string[]; compilerOptions: object; surroundings?: string };

const inProtect = (name: string) => `docs/protect-a-service/${name}.md`;

const projects: Record<string, Project> = {
  'for services': {
    pages: [
      ...['express', 'fastify', 'jose', 'node'].map(inProtect),
      'packages/verifier/README.md',
      'docs/webhooks.md',
    ],
    compilerOptions: { lib: ['es2024'], types: ['node'] },
  },
  'for browsers': {
    pages: ['docs/browser.md', 'examples/club/README.md', 'packages/browser/README.md'],
    compilerOptions: { lib: ['es2024', 'dom', 'dom.iterable'], types: [] },
    // What these pages leave to their readers.
    surroundings: `
      declare const auth: import('@doorward/browser').Auth;
      declare const email: string, password: string;
      declare function showSignIn(): void;
    `,
  },
};

/** `test/recipes/` compiles these beside the libraries that they need, and runs them. */
const recipes = [
  ...['cors', 'express-oauth2-jwt-bearer', 'fast-jwt', 'hono', 'hono-jose', 'jsonwebtoken', 'nestjs', 'next'],
].map(inProtect);

const common = { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', target: 'es2024' };

root.setTimeout(300_000);

test('there is no page with code that is not compiled', (t) => {
  const known = [...recipes, ...Object.values(projects).flatMap(({ pages }) => pages)];
  t.strictSame(
    known.sort(),
    pages.filter((page) => codeBlocks(page).length > 0),
  );
  t.end();
});

test('each block of code is TypeScript that a strict project takes as it is', async (t) => {
  await buildPackage(t);
  for (const [name, { pages, compilerOptions, surroundings = '' }] of Object.entries(projects)) {
    await t.test(name, async (t) => {
      const blocks = pages.flatMap((page) => codeBlocks(page).map((code, at) => [fileOf(page, at), code]));
      const project = { compilerOptions: { ...common, ...compilerOptions }, include: ['*.ts', '*.mts'] };
      const folder = t.testdir({
        ...Object.fromEntries(blocks),
        'surroundings.d.ts': surroundings,
        'tsconfig.json': JSON.stringify(project),
      });
      await compile('-p', join(folder, 'tsconfig.json'));
      t.pass(`${blocks.length} blocks`);
    });
  }
});

/** A name that tells in an error of the compiler which block it is about. */
function fileOf(page: string, at: number): string {
  return `${page.replaceAll('/', '-')}-${at}.mts`;
}
