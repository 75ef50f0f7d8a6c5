import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type Test, test } from 'tap';
import { createAuth } from '../../src/browser/index.ts';
import { currentPage } from '../../src/browser/page.ts';
import { buildModule } from './support/built-module.ts';

const run = promisify(execFile);

/** Runs a module in a Node process of its own, which must end by itself. @returns what it prints, as JSON */
async function runOnServer(t: Test, source: string, moreImports: string[] = []) {
  const built = join(await buildModule(t), 'packages/browser/dist');
  const file = join(built, 'page.mjs');
  const imports = [
    `import { createAuth } from './index.js';`,
    `import { createUseAuth } from './react.js';`,
    ...moreImports,
    `globalThis.fetch = () => { throw new Error('fetch was called'); };`,
  ];
  await writeFile(file, [...imports, source].join('\n'));
  const { stdout, stderr } = await run(process.execPath, [file], { timeout: 60_000 });
  t.equal(stderr, '');
  return JSON.parse(stdout);
}

test('without a browser every call fails as one without an answer, and no timer is set', async (t) => {
  const auth = createAuth({ url: '/auth' });
  t.strictSame(await auth.onRouteChange(), { status: 'unknown', user: null });
  const [shop, own] = ['https://shop.example/cart', 'https://no-page.invalid/cart'];
  const calls: Promise<unknown>[] = [auth.accessToken(), auth.fetch(shop), auth.fetch(own), auth.signOut()];
  for (const call of calls as Promise<void>[])
    await t.rejects(call, { name: 'AuthError', code: 'unavailable', status: 0 });
});

test('where there is a location, the page is that of the browser', async (t) => {
  t.not(currentPage(), globalThis);
  Object.defineProperty(globalThis, 'location', { value: { origin: 'https://x' }, configurable: true });
  t.teardown(() => Reflect.deleteProperty(globalThis, 'location'));
  t.equal(currentPage(), globalThis);
});

test('in Node, a page knows no user, asks no server and lets the process end', async (t) => {
  const answers = await runOnServer(
    t,
    `
    const auth = createAuth({ url: '/auth' });
    const before = auth.getSnapshot();
    const stop = auth.subscribe(() => { throw new Error('nothing changes here'); });
    auth.onSignedOut(() => { throw new Error('nobody is signed out here'); });
    const after = await auth.onRouteChange();
    const refusals = await Promise.all([
      auth.accessToken(), auth.signIn({}), auth.signOut(), auth.sessions(), auth.fetch('https://shop.example/cart'),
    ].map((call) => call.catch(({ name, code, status }) => [name, code, status])));
    stop();
    console.log(JSON.stringify({ before, after, refusals }));`,
  );
  const state = { status: 'unknown', user: null };
  const unavailable = ['AuthError', 'unavailable', 0];
  t.strictSame(answers, { before: state, after: state, refusals: Array(5).fill(unavailable) });
});

/** @param folder whose React to import */
function reactImports(folder: string): string[] {
  const { resolve } = createRequire(join(process.cwd(), folder, 'package.json'));
  const urlOf = (name: string) => JSON.stringify(pathToFileURL(resolve(name)));
  return [
    `import React from ${urlOf('react')};`,
    `import { renderToString } from ${urlOf('react-dom/server')};`,
  ];
}

for (const [major, folder] of [
  ['18', '.'],
  ['19', 'test/react-19'],
] as const)
  test(`React ${major} renders a page on the server, with a user who is not known yet`, async (t) => {
    const { version, html } = await runOnServer(
      t,
      `
      const useAuth = createUseAuth(React, createAuth({ url: '/auth' }));
      const Greeting = () => React.createElement('p', null, useAuth().status);
      const html = renderToString(React.createElement(Greeting));
      console.log(JSON.stringify({ version: React.version, html }));`,
      reactImports(folder),
    );
    t.match(version, `${major}.`);
    t.equal(html, '<p>unknown</p>');
  });
