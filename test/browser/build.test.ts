import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseSync } from 'oxc-parser';
import { test } from 'tap';
import { buildModule, compile } from './support/built-module.ts';

const LIMIT_BYTES = 3 * 1024;

test('`doorward/browser` is one file under 3 kB gzipped', async (t) => {
  const folder = join(await buildModule(t), 'dist/browser');
  for (const [name, limitBytes] of [
    ['index.js', LIMIT_BYTES],
    ['react.js', 300],
  ] as const) {
    const source = await readFile(join(folder, name), 'utf8');
    const { staticImports, dynamicImports } = parseSync(name, source).module;
    t.same([staticImports, dynamicImports], [[], []], 'and loads nothing else');
    const { length } = gzipSync(source, { level: 9 });
    t.comment(`${name}: ${length} bytes gzipped, ${source.length} plain`);
    t.ok(length < limitBytes, `${name}: ${length} bytes`);
  }
});

test('a page written in TypeScript finds the types, without those of Node or React', async (t) => {
  const folder = await buildModule(t);
  const installed = join(folder, 'node_modules/doorward');
  await mkdir(installed, { recursive: true });
  await rename(join(folder, 'dist'), join(installed, 'dist'));
  await copyFile('package.json', join(installed, 'package.json'));
  await writeFile(join(folder, 'page.ts'), pageSource);
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['page.ts'] }));
  await compile('-p', folder);
  t.pass('no error');
});

const compilerOptions = {
  target: 'es2022',
  lib: ['es2022', 'dom'],
  module: 'esnext',
  moduleResolution: 'bundler',
  types: [],
  strict: true,
  noEmit: true,
};

const pageSource = `
import { type AuthError, createAuth, type Session, type User } from 'doorward/browser';
import { createUseAuth } from 'doorward/browser/react';

export const auth = createAuth({ url: '/auth', allowedOrigins: [location.origin], routeChange: 'when-stale' });
export const stop: () => void = auth.onSignedOut(() => document.body.replaceChildren());
export const response: Promise<Response> = auth.fetch('/shop/cart', { method: 'POST' });
export const sessions: Promise<Session[]> = auth.sessions();
export const code = (error: AuthError): string => error.code;
const useAuth = createUseAuth({ useSyncExternalStore: (_subscribe, getSnapshot) => getSnapshot() }, auth);
export const state = useAuth();
export const user: User | null = state.status === 'signed-in' ? state.user : null;
// @ts-expect-error: only these two
createAuth({ url: '/auth', routeChange: 'never' });
`;
