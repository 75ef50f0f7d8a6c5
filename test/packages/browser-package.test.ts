import { globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { test } from 'tap';
import { checkTypes } from './compilers.ts';
import { emptyProject, install, link, pack, runIn } from './packed.ts';

const ours = await pack(t, '@doorward/browser');

const page = `
  import { type AuthError, codeFromLink, createAuth, type Profile, type Session, type User } from '@doorward/browser';
  import { createUseAuth } from '@doorward/browser/react';

  export const auth = createAuth({ url: '/auth', allowedOrigins: [location.origin], routeChange: 'when-stale' });
  export const stop: () => void = auth.onSignedOut(() => document.body.replaceChildren());
  export const response: Promise<Response> = auth.fetch('/shop/cart', { method: 'POST' });
  export const sessions: Promise<Session[]> = auth.sessions();
  export const codeOf = (error: AuthError): string => error.code;
  const useAuth = createUseAuth({ useSyncExternalStore: (_subscribe, getSnapshot) => getSnapshot() }, auth);
  export const state = useAuth();
  export const user: User | null = state.status === 'signed-in' ? state.user : null;
  const code = codeFromLink();
  export const reset: Promise<User> | null = code ? auth.resetPassword({ code, password: 'typed' }) : null;
  export const profile: Promise<Profile> = auth.updateProfile({ display_name: null, metadata: { theme: 'dark' } });
  export const due: Promise<string | null> = auth.deleteAccount({ password: undefined });
  // @ts-expect-error: the address is not a part of the profile
  auth.updateProfile({ email: 'ada@example.com' });
  // @ts-expect-error: only these two
  createAuth({ url: '/auth', routeChange: 'never' });
`;

test('brings nothing with it, and loads as both kinds of module', async (t) => {
  const folder = emptyProject(t, {});
  await install(folder, ours.file);
  const listed = JSON.parse(await runIn(folder, 'npm', 'ls', '--all', '--json', '--offline'));
  t.strictSame(Object.keys(listed.dependencies), ['@doorward/browser']);
  const tell = 'console.log(typeof createAuth, typeof createUseAuth)';
  writeFileSync(
    join(folder, 'page.mjs'),
    `import { createAuth } from '@doorward/browser'; import { createUseAuth } from '@doorward/browser/react'; ${tell}`,
  );
  writeFileSync(
    join(folder, 'page.cjs'),
    `const { createAuth } = require('@doorward/browser'); const { createUseAuth } = require('@doorward/browser/react'); ${tell}`,
  );
  for (const file of ['page.mjs', 'page.cjs'])
    t.equal(await runIn(folder, process.execPath, file), 'function function\n', file);
});

test('its types hold for the supported compilers, without those of Node or React', async (t) => {
  const folder = emptyProject(t, {});
  await install(folder, ours.file);
  await checkTypes(t, folder, page, { lib: ['es2022', 'dom', 'dom.iterable'], skipLibCheck: false });
});

test('its hook takes React itself', async (t) => {
  const folder = emptyProject(t, {});
  await install(folder, ours.file);
  link(folder, 'react', '@types/react');
  const hook = `
    import * as React from 'react';
    import { createAuth } from '@doorward/browser';
    import { createUseAuth } from '@doorward/browser/react';
    export const useAuth = createUseAuth(React, createAuth({ url: '/auth' }));
  `;
  const options = { lib: ['es2022', 'dom', 'dom.iterable'], skipLibCheck: true };
  await checkTypes(t, folder, hook, options);
});

test('holds two small files, types, licence and read-me, and no source', async (t) => {
  const names = globSync('*.ts', { cwd: 'src/browser' }).map((path) => path.replace(/\.ts$/, ''));
  const types = names.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.d.cts`]);
  const entries = ['index', 'react'].flatMap((name) => [`dist/${name}.js`, `dist/${name}.cjs`]);
  t.strictSame(ours.paths, [...types, ...entries, 'LICENSE', 'README.md', 'package.json'].sort());
});
