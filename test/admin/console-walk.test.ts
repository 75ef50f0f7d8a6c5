import { randomUUID } from 'node:crypto';
import { eq, inArray } from 'drizzle-orm';
import type { Page } from 'playwright-core';
import { t as root, test } from 'tap';
import { outbox, roles } from '../../src/db/schema.ts';
import {
  goTo,
  hear,
  newAccount,
  openConsole,
  openConsoleWorld,
  see,
  signIn,
} from './support/console-world.ts';

root.setTimeout(300_000);

const MARKUP = '<img src=x onerror="document.title=\'owned\'">';
const MINUTE_MS = 60_000;

const world = await openConsoleWorld(root);
const [admin, reader, member] = [
  await newAccount(world, ['admin'], 'ada@example.com'),
  await newAccount(world, [], 'grace@example.com'),
  await newAccount(world, [], 'mallory@example.com'),
];

/** Signs in over HTTP, as an application does. @returns the status */
async function signInElsewhere(userAgent = 'Club/1.0') {
  const { email, password } = member;
  const headers = { 'user-agent': userAgent };
  const answer = await world.app.inject({
    ...{ method: 'POST', url: '/login', headers },
    payload: { email, password },
  });
  return answer.statusCode;
}

async function openMember(page: Page): Promise<void> {
  await goTo(page, 'Users');
  await page.getByLabel('Address or name').fill('MALL');
  await page.getByRole('button', { name: 'Search' }).click();
  await hear(page, '1 user');
  await page.getByRole('link', { name: member.email }).click();
  await see(page, member.email);
}

/** Presses the button of a view, and then that of the dialog. */
async function act(page: Page, button: string, confirm: string): Promise<void> {
  await page.getByRole('main').getByRole('button', { name: button, exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: confirm, exact: true }).click();
}

test('an operator finds a user, bans and unbans them, and all of it is on record', async (t) => {
  t.equal(await signInElsewhere(MARKUP), 200);
  const { page, complaints } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await page.getByText('Live sessions').waitFor();
  await openMember(page);
  await page.getByRole('cell', { name: MARKUP }).waitFor();

  await page.getByRole('button', { name: 'Ban…' }).click();
  await page.getByLabel('Reason').fill(MARKUP);
  await page.getByLabel('Until').fill('2099-01-01T12:00');
  await page.getByRole('button', { name: 'Ban', exact: true }).click();
  await hear(page, 'The user is banned.');
  await page.getByText(`Reason: ${MARKUP}`).waitFor();
  await page.getByText('Signed in nowhere.').waitFor();
  t.equal(await page.evaluate('document.activeElement.textContent'), 'Lift the ban', 'the focus stays');
  t.equal(await signInElsewhere(), 401);

  await act(page, 'Lift the ban', 'Lift it');
  await hear(page, 'The ban is lifted.');
  t.equal(await signInElsewhere(), 200);

  await goTo(page, 'Audit');
  await page.getByLabel('Kind').fill('account.banned');
  await page.getByRole('button', { name: 'Search' }).click();
  await hear(page, '1 event');
  await page.getByText('Details').click();
  await page.getByText('onerror').waitFor();
  t.equal(await page.locator('main img').count(), 0, 'markup stays text');
  t.strictSame(complaints, []);
});

test('sessions end, a new password is forced, and an account goes when its address is typed', async (t) => {
  t.equal(await signInElsewhere(), 200);
  const { page, complaints } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await openMember(page);
  await page.getByRole('button', { name: 'End', exact: true }).first().click();
  await page.getByRole('button', { name: 'End it' }).click();
  await hear(page, 'The session has ended.');
  t.equal(await signInElsewhere(), 200);
  await page.reload();
  await see(page, member.email);
  await act(page, 'End all sessions', 'End them');
  await hear(page, 'All sessions have ended.');
  await act(page, 'Force a new password…', 'Force it');
  await hear(page, 'A new password is needed.');
  t.equal(await signInElsewhere(), 401);

  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByLabel('E-mail address of the account').fill('another@example.com');
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByRole('alert').filter({ hasText: 'That is another address' }).waitFor();
  await page.getByLabel('E-mail address of the account').fill(member.email);
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await see(page, 'Users');
  await hear(page, `${member.email} is deleted.`);
  t.equal(await page.getByRole('link', { name: member.email }).count(), 0);
  t.strictSame(complaints, []);
});

test('roles are given and taken; what only a command on the machine can do says which', async (t) => {
  const { page } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await page.goto(`/admin/ui#/users/${reader.id}`);
  await see(page, reader.email);
  await page.getByRole('checkbox', { name: /^admin/ }).check();
  await page.getByRole('button', { name: 'Save the roles' }).click();
  await page
    .getByRole('alert')
    .filter({ hasText: /doorward users grant/ })
    .waitFor();
  await page.goto(`/admin/ui#/users/${admin.id}`);
  await see(page, admin.email);
  await page.getByRole('checkbox', { name: /^admin/ }).uncheck();
  await page.getByRole('button', { name: 'Save the roles' }).click();
  await page.getByRole('alert').filter({ hasText: /admin/ }).waitFor();
});

test('a service client is added, its secret is shown once, and it is disabled and enabled', async (t) => {
  const { page, complaints } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await goTo(page, 'Clients', 'Service clients');
  await page.getByRole('button', { name: 'New client' }).click();
  await page.getByLabel('Id').fill('orders');
  await page.getByLabel('Audiences').fill('api');
  await page.getByLabel('Scopes').fill('orders:read, orders:write');
  await page.getByRole('button', { name: 'Register it' }).click();
  const first = await readSecret(page, 'orders');
  await act(page, 'New secret', 'Make it');
  const second = await readSecret(page, 'orders');
  t.not(first, second);
  t.equal(await statusOf(second), 200, 'the secret is that of the client');
  t.notMatch(await page.content(), second, 'nothing keeps it');
  await act(page, 'Disable', 'Disable');
  await hear(page, 'orders is disabled.');
  t.equal(await statusOf(second), 401);
  await act(page, 'Enable', 'Enable');
  await hear(page, 'orders is enabled.');
  t.equal(await statusOf(second), 200);
  t.strictSame(complaints, []);
});

async function readSecret(page: Page, id: string): Promise<string> {
  await page.getByRole('heading', { name: `The secret of ${id}` }).waitFor();
  const secret = await page.locator('.secret').innerText();
  await page.getByRole('button', { name: 'I have kept it' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  return secret;
}

async function statusOf(secret: string): Promise<number> {
  const answer = await world.app.inject({
    ...{ method: 'POST', url: '/oauth/token', payload: 'grant_type=client_credentials' },
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`orders:${secret}`).toString('base64')}`,
    },
  });
  return answer.statusCode;
}

test('keys rotate, and the settings show no secret', async (t) => {
  const { page, complaints } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await goTo(page, 'Keys', 'Signing keys');
  await page.getByText('The next key signs').waitFor();
  await act(page, 'Rotate…', 'Rotate');
  await hear(page, 'The keys are rotated.');
  t.equal(await page.getByRole('row').count(), 3, 'the heads, the active key and the next one');
  await goTo(page, 'Outbox');
  await page.getByText('Nothing was given up').waitFor();
  await goTo(page, 'Settings');
  await page.getByRole('cell', { name: world.origin }).first().waitFor();
  t.strictSame(complaints, []);
});

test('a message that was given up is tried again or dropped', async (t) => {
  // No lane of this server takes this kind, so that it stays as it is.
  const dead = { kind: 'nobodys', payload: {}, attempts: 12, lastError: 'ECONNREFUSED', deadAt: new Date() };
  const ids = [randomUUID(), randomUUID()];
  await world.adapters.database.insert(outbox).values(ids.map((id) => ({ id, ...dead })));
  const { page, complaints } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await goTo(page, 'Outbox');
  await page.getByRole('button', { name: 'Try again' }).first().click();
  await page.getByRole('button', { name: 'Try it' }).click();
  await hear(page, 'The message is tried again.');
  await act(page, 'Drop', 'Drop it');
  await hear(page, 'The message is dropped.');
  await page.getByText('Nothing was given up').waitFor();
  const rows = await world.adapters.database.select().from(outbox).where(inArray(outbox.id, ids));
  t.match(rows, [{ deadAt: null }]);
  t.equal(rows.length, 1, 'the other one is gone');
  t.strictSame(complaints, []);
});

test('an operator makes an account, and is led to it', async (t) => {
  const { page, complaints } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await goTo(page, 'Users');
  await page.getByRole('button', { name: 'New account' }).click();
  await page.getByRole('dialog').getByLabel('E-mail address').fill(reader.email);
  await page.getByRole('button', { name: 'Make the account' }).click();
  await page.getByRole('alert').filter({ hasText: 'There is an account with' }).waitFor();
  await page.getByRole('dialog').getByLabel('E-mail address').fill('hedy@example.com');
  await page.getByRole('dialog').getByLabel('Name').fill('Hedy Lamarr');
  await page.getByRole('button', { name: 'Make the account' }).click();
  await see(page, 'hedy@example.com');
  await page.getByText('Hedy Lamarr').waitFor();
  t.strictSame(complaints, []);
});

test('an act asks to sign in again when that is long ago, and is then done; or it is not done', async (t) => {
  const { page } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  await world.advance(16 * MINUTE_MS);
  await page.goto(`/admin/ui#/users/${reader.id}`);
  await see(page, reader.email);
  await act(page, 'Ban…', 'Ban');
  const again = page.getByRole('dialog').filter({ hasText: 'Is it still you?' });
  await again.getByText('15 minutes').waitFor();
  await again.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('alert').filter({ hasText: 'Nothing was changed' }).waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Ban', exact: true }).click();
  await again.getByLabel('Password').fill(`${admin.password}!`);
  await again.getByRole('button', { name: 'Sign in and go on' }).click();
  await again.getByRole('alert').waitFor();
  await again.getByLabel('Password').fill(admin.password);
  await again.getByRole('button', { name: 'Sign in and go on' }).click();
  await hear(page, 'The user is banned.');
  await act(page, 'Lift the ban', 'Lift it');
  await hear(page, 'The ban is lifted.');
  t.pass();
});

test('while the server is busy a view waits and tries again', async (t) => {
  const { page } = await openConsole(t, world);
  await signIn(page, admin);
  await see(page, 'Overview');
  let refusals = 0;
  await page.route('**/admin/keys', (route) => {
    refusals += 1;
    if (refusals > 2) return route.fallback();
    return route.fulfill({
      ...{ status: 503, headers: { 'retry-after': '0' }, contentType: 'application/problem+json' },
      body: JSON.stringify({ code: 'unavailable' }),
    });
  });
  await goTo(page, 'Keys', 'Signing keys');
  t.equal(refusals, 3);
});

test('whose roles open only a part gets the tabs of that part, and elsewhere reads which scope is missing', async (t) => {
  await world.adapters.database.insert(roles).values([{ name: 'janitor', scopes: ['admin:keys'] }]);
  const janitor = await newAccount(world, ['janitor']);
  const { page } = await openConsole(t, world);
  await signIn(page, janitor);
  await see(page, 'Signing keys');
  t.strictSame(await page.getByRole('navigation').getByRole('link').allInnerTexts(), [
    ...['Keys', 'Outbox', 'Settings'],
  ]);
  await page.goto('/admin/ui#/audit');
  await see(page, 'Not with your roles');
  await page.getByText('This needs the scope admin:audit').waitFor();
  await page.goto('/admin/ui#/nowhere');
  await see(page, 'There is no such page');

  // The role changes while the page has a token from before.
  await world.adapters.database.update(roles).set({ scopes: [] }).where(eq(roles.name, 'janitor'));
  await page.goto('/admin/ui#/settings');
  await see(page, 'That did not work');
  await page.getByRole('alert').filter({ hasText: 'This needs the scope admin:keys' }).waitFor();
});

test('who has no role reads which command grants one; who signs out sees nothing more', async (t) => {
  const { page } = await openConsole(t, world);
  await signIn(page, reader);
  await see(page, 'You are no operator');
  await page.getByText(`doorward users grant ${reader.email} admin`).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await see(page, 'Sign in to the console');
  t.equal(await page.getByText(reader.email).count(), 0);
});
