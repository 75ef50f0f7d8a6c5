import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { compile } from '../../browser/support/built-module.ts';
import { snippet } from '../../docs/pages.ts';
import { freePort } from '../../support/free-port.ts';
import { listens, type Running, start } from '../../support/gateway-program.ts';

/** A service that runs the code of its page, and nothing but it. */
export type RecipeService = { url: string; service: Running };

const shownIssuer = 'https://auth.example.com';

/**
 * The clocks of a service: they go on by half a minute at each SIGUSR2, and by ten at each SIGHUP. Otherwise they stand
 * still, so that a slow machine measures the same pauses.
 */
export const STEPPED_CLOCK = `data:text/javascript,${encodeURIComponent(`
  let shiftMs = 0;
  const [wall, steady] = [Date.now(), performance.now()];
  Date.now = () => wall + shiftMs;
  performance.now = () => steady + shiftMs;
  process.on('SIGUSR2', () => { shiftMs += 31_000; });
  process.on('SIGHUP', () => { shiftMs += 601_000; });
`)}`;

/** What Next.js does with a route handler, as far as it matters: the handler takes and gives what \`fetch\` does. */
const ROUTE_SERVER = `
  import { serve } from '@hono/node-server';
  import { GET } from './route.js';
  serve({ fetch: GET, port: 4000 });
`;

const compilerOptions = {
  target: 'es2024',
  lib: ['es2024'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  verbatimModuleSyntax: true,
  noImplicitOverride: true,
  // For NestJS.
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  // Not all libraries are free of errors.
  skipLibCheck: true,
  outDir: 'compiled',
};

export function withIssuer(code: string, issuer: string): string {
  return code.replace(shownIssuer, issuer);
}

/** The service that a page in docs/protect-a-service shows: our own doors in JavaScript, the others in TypeScript. */
export function codeOfPage(name: string): string {
  return snippet(`docs/protect-a-service/${name}.md`, name === 'express' ? 'js' : 'ts');
}

/**
 * Checks the types of services, and compiles them.
 * @param sources by name
 * @returns the folder of the result
 * @throws Error with the compiler's output
 */
export async function compileRecipes(t: Test, sources: Record<string, string>): Promise<string> {
  const files = Object.fromEntries(Object.entries(sources).map(([name, code]) => [`${name}.ts`, code]));
  const project = JSON.stringify({ compilerOptions, files: Object.keys(files) });
  const folder = t.testdir({ ...files, 'tsconfig.json': project });
  await compile('-p', folder);
  return join(folder, 'compiled');
}

/** Starts a compiled service. Only the addresses are different: the port, and Doorward's URL. */
export async function startRecipe(
  t: Test,
  { compiled, name, issuer }: { compiled: string; name: string; issuer: string },
): Promise<RecipeService> {
  const port = await freePort();
  const folder = join(compiled, name);
  mkdirSync(folder);
  const code = withIssuer(readFileSync(join(compiled, `${name}.js`), 'utf8'), issuer);
  const isRoute = code.includes('export async function GET');
  writeFileSync(join(folder, 'route.js'), code);
  const server = isRoute ? ROUTE_SERVER : code;
  writeFileSync(join(folder, 'service.js'), server.replace(/\b4000\b/, String(port)));
  const args = ['--import', STEPPED_CLOCK, join(folder, 'service.js')];
  // Doors that check offline never send it.
  const service = start(t, process.execPath, args, { CLIENT_SECRET: 'not used' });
  await listens(service, port);
  return { url: `http://127.0.0.1:${port}`, service };
}
