import { type Test, test } from 'tap';
import { type Auth, codeFromLink, createAuth } from '../../src/browser/index.ts';
import { createContractServer } from './support/contract-server.ts';
import { authUrl, createFakeBrowser, problem, quiet } from './support/fake-page.ts';

const code = 'from a link';
const typed = { email: 'ada@example.com', code: 'ABCD-EFGH' };
const password = 'made up for this page';

/** A tab, and a second one of the same browser that watches. */
function open() {
  const server = createContractServer();
  const browser = createFakeBrowser();
  const [tab, other] = [browser.openTab(), browser.openTab()];
  for (const each of [tab, other]) each.answer(server.respond);
  const [auth, watching] = [tab, other].map(({ page }) => createAuth({ url: authUrl }, page)) as [Auth, Auth];
  const told: string[] = [];
  auth.subscribe(({ status }) => told.push(status));
  return { ...tab, server, browser, auth, watching, told };
}

async function signedIn(t: Test) {
  const world = open();
  await world.auth.signIn({ email: typed.email, password });
  await world.auth.accessToken();
  await world.watching.accessToken();
  t.strictSame(world.told.splice(0), ['signed-in']);
  world.sent.length = 0;
  world.browser.messages.length = 0;
  return world;
}

type World = ReturnType<typeof open>;

/** The first call that was sent. */
function call({ sent }: World): [string, unknown] {
  const [request] = sent;
  const { method, url, body } = request ?? { method: '', url: '', body: '' };
  return [`${method} ${url.slice(authUrl.length)}`, body === '' ? undefined : JSON.parse(body)];
}

const SIGN_INS: [string, (auth: Auth) => Promise<unknown>, [string, object]][] = [
  ['a reset', (auth) => auth.resetPassword({ code, password }), ['POST /password/reset', { code, password }]],
  [
    'a reset with a typed code',
    (auth) => auth.resetPassword({ ...typed, password }),
    ['POST /password/reset', { ...typed, password }],
  ],
  ['a confirmed address', (auth) => auth.verifyEmail({ code }), ['POST /email/verify', { code }]],
  [
    'an address confirmed with the password',
    (auth) => auth.verifyEmail({ code, password }),
    ['POST /email/verify', { code, password }],
  ],
];

for (const [name, run, sent] of SIGN_INS)
  test(`${name} signs in, in all tabs`, async (t) => {
    const world = open();
    await world.auth.onRouteChange();
    await quiet();
    world.sent.length = 0;
    t.match(await run(world.auth), { id: world.server.user.id });
    t.strictSame(call(world), sent);
    t.equal(world.auth.getSnapshot().status, 'signed-in');
    await quiet();
    t.strictSame(world.told, ['signed-out', 'signed-in']);
    t.equal(world.watching.getSnapshot().status, 'signed-in');
    await t.resolves(world.auth.accessToken());
    t.strictSame(world.browser.messages, ['in']);
  });

test('an address that needs the password signs nobody in until it is there', async (t) => {
  const world = open();
  world.server.refuse(problem(403, 'password_required'));
  await t.rejects(world.auth.verifyEmail({ code }), { code: 'password_required', status: 403 });
  t.equal(world.auth.getSnapshot().status, 'unknown');
  world.server.refuse(null);
  await world.auth.verifyEmail({ code, password });
  t.equal(world.auth.getSnapshot().status, 'signed-in');
});

test('what only sends a mail changes nothing', async (t) => {
  for (const [run, sent] of [
    [(auth: Auth) => auth.requestReset(typed.email), ['POST /password/forgot', { email: typed.email }]],
    [(auth: Auth) => auth.sendVerification(), ['POST /email/verify/send', {}]],
    [(auth: Auth) => auth.sendVerification(typed.email), ['POST /email/verify/send', { email: typed.email }]],
    [
      (auth: Auth) => auth.changeEmail({ email: 'new@example.com', password }),
      ['POST /email/change', { email: 'new@example.com', password }],
    ],
    [(auth: Auth) => auth.undoDeletion({ code }), ['POST /me/undo-deletion', { code }]],
  ] as const) {
    const world = await signedIn(t);
    const token = await world.auth.accessToken();
    await run(world.auth);
    t.strictSame(call(world), sent);
    t.equal(await world.auth.accessToken(), token);
    t.strictSame([world.told, world.browser.messages], [[], []]);
  }
});

test('a new password takes new tokens, in all tabs, and the user stays signed in', async (t) => {
  const world = await signedIn(t);
  const [old, oldThere] = await Promise.all([world.auth.accessToken(), world.watching.accessToken()]);
  await world.auth.changePassword({ currentPassword: password, newPassword: `${password}!` });
  t.strictSame(call(world), [
    'POST /password/change',
    { current_password: password, new_password: `${password}!` },
  ]);
  t.not(await world.auth.accessToken(), old);
  t.not(await world.watching.accessToken(), oldThere);
  t.strictSame(world.told, [], 'the state is the same');
  t.equal(world.auth.getSnapshot().status, 'signed-in');
});

test('a session that signed in a moment ago needs no password', async (t) => {
  const world = await signedIn(t);
  await world.auth.changePassword({ newPassword: password });
  t.strictSame(call(world), ['POST /password/change', { new_password: password }]);
});

test('a refused change leaves the token and the state', async (t) => {
  for (const [status, refusal] of [
    [401, 'invalid_credentials'],
    [403, 'reauthentication_required'],
    [503, 'unavailable'],
  ] as const) {
    const world = await signedIn(t);
    const token = await world.auth.accessToken();
    world.server.refuse(problem(status, refusal));
    await t.rejects(world.auth.changePassword({ newPassword: password }), { code: refusal });
    await t.rejects(world.auth.deleteAccount({ password }), { code: refusal });
    t.equal(await world.auth.accessToken(), token);
    t.strictSame([world.told, world.browser.messages], [[], []]);
  }
});

test('a call for which the session is over signs out', async (t) => {
  const world = await signedIn(t);
  world.server.refuse(problem(401, 'not_signed_in'));
  await t.rejects(world.auth.updateProfile({ display_name: 'Ada' }), { code: 'not_signed_in' });
  t.equal(world.auth.getSnapshot().status, 'signed-out');
});

test('a confirmed new address is that of the state, and of the next token', async (t) => {
  const world = await signedIn(t);
  const old = await world.auth.accessToken();
  await world.auth.confirmEmailChange(typed);
  t.strictSame(call(world), ['POST /email/change/confirm', { code: typed.code }]);
  t.equal(world.auth.getSnapshot().user?.email, 'new@example.com');
  t.not(await world.auth.accessToken(), old);
  await quiet();
  t.equal(world.watching.getSnapshot().user?.email, 'new@example.com');
});

test('an undone change and a disowned session are seen at once if they end the session of this page', async (t) => {
  for (const [run, path] of [
    [(auth: Auth) => auth.undoEmailChange({ code }), '/email/change/undo'],
    [(auth: Auth) => auth.disownSession({ code }), '/sessions/disown'],
  ] as const) {
    const world = await signedIn(t);
    await run(world.auth);
    t.strictSame(call(world), [`POST ${path}`, { code }]);
    t.equal(world.auth.getSnapshot().status, 'signed-out');
    await t.rejects(world.auth.accessToken(), { code: 'session_not_found' });
  }
});

test('reads, changes and exports what is held on the user', async (t) => {
  const world = await signedIn(t);
  t.strictSame(await world.auth.profile(), world.server.profile);
  t.strictSame(await world.auth.updateProfile({ display_name: 'Ada', locale: null, metadata: { a: null } }), {
    ...world.server.profile,
    display_name: 'Ada',
  });
  t.match(await world.auth.exportData(), { schema_version: 1 });
  t.strictSame(
    world.sent.map(({ method, url }) => `${method} ${url.slice(authUrl.length)}`),
    ['GET /me', 'PATCH /me', 'GET /me/export'],
  );
  t.strictSame(JSON.parse(world.sent[1]?.body ?? ''), {
    display_name: 'Ada',
    locale: null,
    metadata: { a: null },
  });
});

test('a deleted account is signed out in all tabs', async (t) => {
  const world = await signedIn(t);
  t.equal(await world.auth.deleteAccount({ password }), null);
  t.strictSame(call(world), ['DELETE /me', { password }]);
  await quiet();
  t.strictSame(world.told, ['signed-out']);
  t.equal(world.watching.getSnapshot().status, 'signed-out');
  t.strictSame(world.browser.messages, ['out']);
});

test('a deletion that can be undone tells its time', async (t) => {
  const world = await signedIn(t);
  world.server.delayDeletion();
  t.equal(await world.auth.deleteAccount(), world.server.user.created_at);
  t.strictSame(call(world), ['DELETE /me', {}]);
  t.equal(world.auth.getSnapshot().status, 'signed-out');
});

test('the code of a link is taken out of the address, and the rest of it stays', (t) => {
  const replaced: unknown[][] = [];
  const history = { state: { kept: true }, replaceState: (...args: unknown[]) => void replaced.push(args) };
  const at = (hash: string) => ({ location: { hash, pathname: '/club/reset', search: '?lang=de' }, history });
  t.equal(codeFromLink(at('#code=a-b_c')), 'a-b_c');
  t.strictSame(replaced, [[{ kept: true }, '', '/club/reset?lang=de']]);
  for (const hash of ['', '#', '#main', '#code=']) t.equal(codeFromLink(at(hash)), null, hash);
  t.equal(codeFromLink({ history }), null, 'nor on a server');
  t.equal(codeFromLink(), null);
  t.equal(replaced.length, 1, 'nothing else is replaced');
  t.end();
});
