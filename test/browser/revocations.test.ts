import type { Page } from 'playwright-core';
import { t as root, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { until } from '../support/gateway-program.ts';
import { ask } from '../support/gateway-world.ts';
import { launchChromium } from './support/chromium.ts';
import { type Club, openClub } from './support/club.ts';
import { goToSessions, hear, join, newVisitor, seeHeading, submit, watchTokens } from './support/visit.ts';

root.setTimeout(300_000);

type Counts = Record<'checked_offline' | 'asked' | 'refused_as_revoked' | 'revocations_heard', number> & {
  lag_ms: number | null;
};

test('a session that is ended in another window, in Chromium', async (t) => {
  const [club, browser] = await Promise.all([openClub(t), launchChromium(t)]);
  const credentials = newCredentials();
  const [here, there] = await Promise.all([newVisitor(browser, club), newVisitor(browser, club)]);
  const [mine, other] = await Promise.all([here.newPage(), there.newPage()]);

  await t.test('is refused by the shop at its next click, and the shop asked nobody', async (t) => {
    await join(mine, credentials);
    await other.goto('/sign-in');
    await submit(other, credentials, 'Sign in');
    await seeHeading(other, 'Things from the club');
    await addToCart(other, 'Notebook', 200);
    await countIn(other, 'what it knows is')
      .filter({ hasText: /^\d+\.\d s old$/ })
      .waitFor();
    const before = await countsOf(club);

    await goToSessions(mine);
    await mine.getByRole('button', { name: /^End: Chrome on / }).click();
    await hear(mine, 'is signed out');
    await until(
      async () => (await countsOf(club)).revocations_heard > before.revocations_heard,
      () => 'the shop heard nothing',
    );
    t.ok(
      await other.getByRole('button', { name: 'Sign out', exact: true }).isVisible(),
      'it does not know yet',
    );
    const { asked } = watchTokens(other);
    t.equal(await addToCart(other, 'Brass key', 401), 'token_revoked');
    await hear(other, 'Your session was ended elsewhere. Sign in again, please.');
    await other.getByText('It refused your token: your session was ended elsewhere.').waitFor();
    await other.getByRole('banner').getByRole('link', { name: 'Sign in' }).waitFor();
    t.equal(asked(), 1, 'the page asked once whether there is another token');

    const after = await countsOf(club);
    t.equal(after.asked, 0, 'the shop asked nobody');
    t.equal(after.refused_as_revoked, before.refused_as_revoked + 1);
    await countIn(other, 'tokens refused for one')
      .filter({ hasText: `${after.refused_as_revoked}` })
      .waitFor();
  });

  await t.test(
    'the window that ended it goes on, and the other one after it has signed in again',
    async (t) => {
      await mine.goto('/');
      await addToCart(mine, 'Reading lamp', 200);
      await other.goto('/sign-in');
      await submit(other, credentials, 'Sign in');
      await seeHeading(other, 'Things from the club');
      await addToCart(other, 'Brass key', 200);
      await other.getByText('It refused no token of yours as revoked.').waitFor();
      t.equal((await countsOf(club)).asked, 0);
    },
  );
  await Promise.all([here.close(), there.close()]);
});

/** @returns the code of the shop's answer, if it is a refusal */
async function addToCart(page: Page, item: string, status: number): Promise<string | null> {
  const answered = page.waitForResponse(
    (response) => response.url().endsWith('/shop/cart') && response.status() === status,
  );
  await page.getByRole('button', { name: `Add to cart: ${item}` }).click();
  const { code = null } = await (await answered).json();
  return code;
}

function countIn(page: Page, name: string) {
  return page.locator('.counts dt').filter({ hasText: name }).locator('+ dd');
}

async function countsOf({ origin }: Club): Promise<Counts> {
  return JSON.parse((await ask(`${origin}/shop/counts`)).body);
}
