import { useSyncExternalStore } from 'react';
import { test } from 'tap';
import { createAuth } from '../../src/browser/index.ts';
import { createUseAuth } from '../../src/browser/react.ts';
import { ada, authUrl, createFakeBrowser, quiet, tokenAnswer } from './support/fake-page.ts';

test('useAuth() shows the state of the page, and hears of each change', async (t) => {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: authUrl }, tab.page);
  let renders = 0;
  let unmount = () => {};
  const useAuth = createUseAuth(
    {
      useSyncExternalStore: (subscribe, getSnapshot, getServerSnapshot) => {
        unmount = subscribe(() => {
          renders += 1;
        });
        t.strictSame(getServerSnapshot(), { status: 'unknown', user: null }, 'also after the sign-in');
        t.equal(getServerSnapshot(), getServerSnapshot());
        return getSnapshot();
      },
    },
    auth,
  );
  t.strictSame(useAuth(), { status: 'unknown', user: null });
  tab.answer(() => tokenAnswer());
  await auth.onRouteChange();
  await quiet();
  t.equal(renders, 1);
  unmount();
  t.strictSame(useAuth(), { status: 'signed-in', user: ada });
});

test("React's own hook fits", (t) => {
  const { page } = createFakeBrowser().openTab();
  t.type(createUseAuth({ useSyncExternalStore }, createAuth({ url: authUrl }, page)), 'function');
  t.end();
});
