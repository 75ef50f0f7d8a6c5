import type { Page } from 'playwright-core';
import { t as root, test } from 'tap';
import { launchChromium } from '../browser/support/chromium.ts';
import { mailFor } from '../browser/support/mailbox.ts';
import { buildPackage } from '../support/gateway-world.ts';
import { openBlockWorld } from './block-page.ts';
import { codeBlocks, snippet, snippets } from './pages.ts';

root.setTimeout(300_000);

const [browser] = await Promise.all([launchChromium(root), buildPackage(root)]);
const world = await openBlockWorld(root, browser);
const { email, password } = world.credentials;

/** What the pages leave to their readers. `signInFirst` is for a page that does not sign in by itself. */
const given = `
  import { createAuth } from '@doorward/browser';
  globalThis.auth = createAuth({ url: 'https://auth.example.com', audience: 'shop' });
  Object.assign(globalThis, ${JSON.stringify({ email, password })}, {
    asked: 0,
    showSignIn: () => { asked += 1; },
  });
`;
const signIn = 'await auth.signIn({ email, password });';

/** Opens a page with what is given, and runs code there. */
async function pageWith(code: string, path?: string): Promise<Page> {
  const page = await world.open(path);
  await world.run(page, given + code);
  return page;
}

/** The framework's block of examples/club/README.md. */
function blockWith(mark: string): string {
  const block = codeBlocks('examples/club/README.md').find((code) => code.includes(mark));
  if (block === undefined) throw new Error(`no block has ${mark}`);
  return block;
}

/** Shows what the block tells, before the sign-in and after it, and once more after the sign-out. */
async function seesEachState(code: string): Promise<void> {
  const page = await pageWith(code);
  for (const [call, text] of [
    ['auth.onRouteChange()', 'signed-out'],
    ['auth.signIn({ email, password })', `signed-in ${email}`],
    ['auth.signOut()', 'signed-out'],
  ] as const) {
    await page.evaluate(`${call}.then(() => {})`);
    await page.getByText(text, { exact: true }).waitFor();
  }
  await page.context().close();
}

test('the block of docs/browser.md signs in, and gets tokens for one service each', async (t) => {
  const page = await pageWith('');
  const minted: string[] = [];
  page.on('request', (request) => minted.push(request.postData() ?? ''));
  await world.run(page, snippet('docs/browser.md', 'ts'));
  t.equal(await page.evaluate('asked'), 1, 'the user who was signed out was shown the sign-in');
  t.same(world.shopAudiences.splice(0), ['shop']);
  t.ok(minted.includes(JSON.stringify({ single_use: true, audience: 'payments' })));
  await page.context().close();
});

/** The form of the block about `/reset`. */
const RESET_FORM = `document.body.innerHTML = '<form>' + ['email', 'code', 'password']
  .map((name) => '<label>' + name + '<input name="' + name + '"></label>').join('') + '<button>Set</button></form>';`;

test('the block about the page /reset takes the code of a link, or a typed one', async (t) => {
  const [, block = ''] = snippets('docs/browser.md', 'ts');
  const asking = await pageWith('');
  for (const how of ['link', 'typed']) {
    await asking.evaluate('auth.requestReset(email)');
    const { link, code } = await mailFor(world.mails, email, 'reset');
    const { hash } = new URL(link);
    const page = await pageWith(RESET_FORM + block, how === 'link' ? `/reset${hash}` : '/reset');
    t.equal(await page.evaluate('location.hash'), '', 'the address has no code');
    if (how === 'typed') {
      await page.getByLabel('email').fill(email);
      await page.getByLabel('code').fill(code);
    }
    await page.getByLabel('password').fill(password);
    await page.getByRole('button').click();
    await page.waitForFunction("auth.getSnapshot().status === 'signed-in'");
    await page.context().close();
  }
  await asking.context().close();
});

test("the block of the package's page calls the shop for a user who is signed in", async (t) => {
  const page = await pageWith(signIn);
  await world.run(page, snippet('packages/browser/README.md', 'ts'));
  t.equal(await page.evaluate('asked'), 0);
  t.same(world.shopAudiences.splice(0), ['shop']);
  await page.context().close();
});

test('the block for React shows each state', async (t) => {
  await seesEachState(`${blockWith('useSyncExternalStore')}
    import { createElement } from 'react';
    import { createRoot } from 'react-dom/client';
    const Who = () => {
      const { status, user } = useAuth();
      return createElement('p', null, [status, user?.email].filter(Boolean).join(' '));
    };
    createRoot(document.body).render(createElement(Who));
  `);
  t.pass('all of them');
});

test('the block for Vue shows each state', async (t) => {
  await seesEachState(`${blockWith('shallowRef')}
    import { createApp, h } from 'vue';
    createApp({
      setup() {
        const state = useAuth();
        return () => h('p', [state.value.status, state.value.user?.email].filter(Boolean).join(' '));
      },
    }).mount(document.body);
  `);
  t.pass('all of them');
});

test('the block for Svelte shows each state', async (t) => {
  await seesEachState(`${blockWith('readable')}
    state.subscribe(({ status, user }) => {
      document.body.textContent = [status, user?.email].filter(Boolean).join(' ');
    });
  `);
  t.pass('all of them');
});

test('the block for Svelte knows what happened while nobody subscribed to it', async (t) => {
  const page = await pageWith(`${blockWith('readable')}
    ${signIn}
    state.subscribe(({ status }) => { document.body.textContent = status; })();
  `);
  t.equal(await page.innerText('body'), 'signed-in');
  await page.context().close();
});

test('the block with the Navigation API asks the server at each change of the route', async (t) => {
  const page = await pageWith(blockWith('navigatesuccess'));
  for (const change of ["history.pushState(null, '', '/cart')", 'history.back()']) {
    const asked = page.waitForRequest((request) => new URL(request.url()).pathname === '/token');
    await page.evaluate(change);
    t.equal((await asked).method(), 'POST', change);
    // A call that begins while another one waits asks nothing of its own.
    await page.evaluate('auth.onRouteChange().then(() => {})');
  }
  await page.context().close();
});
