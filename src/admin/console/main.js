import { createApi, missingScope } from './api.js';
import { viewAudit } from './audit-view.js';
import { createAuth } from './browser/index.js';
import { viewClients } from './clients-view.js';
import { ask, closeDialogs } from './dialog.js';
import { h, heading } from './dom.js';
import { field } from './forms.js';
import { viewKeys } from './keys-view.js';
import { operatorOf, TABS, tabsOf } from './operator.js';
import { viewOutbox } from './outbox-view.js';
import { viewOverview } from './overview-view.js';
import { viewSettings } from './settings-view.js';
import { viewNotOperator, viewSignIn } from './sign-in-view.js';
import { viewUser } from './user-view.js';
import { viewUsers } from './users-view.js';

/**
 * What a view gets.
 * @typedef {object} Context
 * @property {import('./api.js').Api} api
 * @property {import('./operator.js').Operator} operator
 * @property {(scope: string) => boolean} may
 * @property {(text: string) => void} announce says what happened, also to a screen reader
 * @property {() => Promise<void>} refresh shows the view again
 * @property {URLSearchParams} query what stands behind `?` in the address
 * @property {(query: Record<string, string>) => void} remember puts filters into the address
 * @property {string} id what stands behind the name of the view
 */

/** @type {Record<string, { view: (context: Context) => Promise<(Node | string)[]>, tab: string }>} */
const VIEWS = {
  '/': { view: viewOverview, tab: '/' },
  '/users': { view: viewUsers, tab: '/users' },
  '/users/': { view: viewUser, tab: '/users' },
  '/audit': { view: viewAudit, tab: '/audit' },
  '/clients': { view: viewClients, tab: '/clients' },
  '/keys': { view: viewKeys, tab: '/keys' },
  '/outbox': { view: viewOutbox, tab: '/outbox' },
  '/settings': { view: viewSettings, tab: '/settings' },
};

const { base = '', issuer = '' } = document.documentElement.dataset;
const main = byId('main');
const tabs = byId('tabs');
const who = byId('who');
const status = byId('status');
const auth = createAuth({ url: base, audience: issuer });
const api = createApi({ fetch: auth.fetch, base, signInAgain, announce });

/** Who is shown as signed in. @type {import('./operator.js').Operator | null} */
let operator = null;
/** Counts what is shown: an answer for something that was left meanwhile is ignored. */
let shown = 0;

auth.subscribe(({ status: state, user }) => {
  if (state === 'signed-out') showSignIn();
  else if (state === 'signed-in' && user.id !== operator?.id) void enter();
});
addEventListener('hashchange', () => void enter());
void enter();

/** Shows what the address says, if the person may see it. */
async function enter() {
  shown += 1;
  const mine = shown;
  main.setAttribute('aria-busy', 'true');
  await auth.onRouteChange();
  try {
    const token = await auth.accessToken();
    if (mine !== shown) return;
    operator = operatorOf(token);
    showWho(operator);
    if (tabsOf(operator).length === 0) show(viewNotOperator(operator, { retry: enter }));
    else await showView(operator, mine);
  } catch (error) {
    if (mine === shown) showTrouble(error);
  }
}

/** @param {import('./operator.js').Operator} operator @param {number} mine */
async function showView(operator, mine) {
  const [given, search = ''] = location.hash.slice(1).split('?');
  // Not everybody may see the first tab.
  const path = given || (tabsOf(operator)[0]?.path ?? '/');
  const [, name = '/', id = ''] = /^(\/[a-z]*\/?)(.*)$/.exec(path) ?? [];
  const found = VIEWS[name];
  showTabs(operator, found?.tab);
  if (!found) return show([heading('There is no such page')]);
  const scope = TABS.find((tab) => tab.path === found.tab)?.scope ?? '';
  if (!operator.scopes.includes(scope))
    return show([heading('Not with your roles'), h('p', { class: 'problem' }, missingScope(scope))]);
  const content = await found.view({
    ...{ api, operator, announce, refresh, remember },
    may: (wanted) => operator.scopes.includes(wanted),
    query: new URLSearchParams(search),
    id: decodeURIComponent(id),
  });
  if (mine === shown) show(content);
}

/** @param {(Node | string)[]} content with a heading, which gets the focus */
function show(content) {
  main.removeAttribute('aria-busy');
  main.replaceChildren(...content);
  const title = main.querySelector('h1');
  document.title = `${title?.textContent} – Doorward console`;
  title?.focus();
}

/** The view again, after something was changed. What had the focus has it afterwards, if it is still there. */
async function refresh() {
  const focused = document.activeElement?.id;
  await enter();
  if (focused) document.getElementById(focused)?.focus();
}

function showSignIn() {
  shown += 1;
  operator = null;
  closeDialogs();
  who.replaceChildren();
  tabs.hidden = true;
  show(viewSignIn(auth));
}

/** @param {unknown} error */
function showTrouble(error) {
  const { code, message } = /** @type {import('./api.js').CallError} */ (error);
  if (code === 'session_not_found') return showSignIn();
  show([
    heading('That did not work'),
    h('p', { class: 'problem', role: 'alert' }, message),
    h('button', { class: 'main', onclick: enter }, 'Try again'),
  ]);
}

/** @param {import('./operator.js').Operator} operator */
function showWho({ email }) {
  who.replaceChildren(h('span', {}, email), h('button', { class: 'quiet', onclick: signOut }, 'Sign out'));
}

async function signOut() {
  await auth.signOut().catch(showTrouble);
}

/** @param {import('./operator.js').Operator} operator @param {string | undefined} current */
function showTabs(operator, current) {
  tabs.hidden = false;
  tabs.replaceChildren(
    ...tabsOf(operator).map(({ path, name }) =>
      h('a', { href: `#${path}`, 'aria-current': path === current ? 'page' : null }, name),
    ),
  );
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @param {string} text */
function announce(text) {
  status.textContent = text;
}

/** Filters belong to the address, so that a link or the way back from a user leads to the same list. @param {Record<string, string>} query */
function remember(query) {
  const given = Object.entries(query).filter(([, value]) => value !== '');
  const search = new URLSearchParams(given).toString();
  const [path] = location.hash.split('?');
  history.replaceState(null, '', `${path}${search && `?${search}`}`);
}

/** @param {number} maxAgeSeconds */
function signInAgain(maxAgeSeconds) {
  const email = operator?.email ?? '';
  const minutes = Math.max(1, Math.round(maxAgeSeconds / 60));
  return ask({
    title: 'Is it still you?',
    content: [
      h('p', {}, `To change something, your sign-in must not be older than ${minutes} minutes.`),
      field({ name: 'email', label: 'E-mail address', type: 'email', value: email, more: { readonly: '' } }),
      field({
        ...{ name: 'password', label: 'Password', type: 'password', required: true },
        autocomplete: 'current-password',
      }),
    ],
    submit: 'Sign in and go on',
    act: ({ password = '' }) => auth.signIn({ email, password }),
  });
}
