import { onCount } from './basket.js';
import { action, announce, element, heading, plural, sentence } from './dom.js';
import { signIn, signUp } from './pages/account.js';
import { cart } from './pages/cart.js';
import { catalogue } from './pages/catalogue.js';
import { keepCode } from './pages/codes.js';
import { confirmEmail, notMe, undoDeletion, undoEmail, verify } from './pages/mailed.js';
import { forgot, reset } from './pages/password.js';
import { sessions } from './pages/sessions.js';
import { settings } from './pages/settings.js';
import { createPanel } from './panel.js';
import { auth } from './services.js';

const ROUTES = {
  '/': { title: 'Catalogue', render: catalogue },
  '/cart': { title: 'Cart', render: cart, guarded: true },
  '/account': { title: 'Your account', render: settings, guarded: true },
  '/sessions': { title: 'Sessions', render: sessions, guarded: true, under: '/account' },
  '/sign-in': { title: 'Sign in', render: signIn, forGuests: true },
  '/sign-up': { title: 'Join', render: signUp, forGuests: true },
  '/forgot': { title: 'Forgot your password?', render: forgot },
  // The mails of Doorward lead to these, because PUBLIC_APP_URL is the address of the club.
  '/reset': { title: 'New password', render: reset },
  '/verify': { title: 'Confirm your address', render: verify },
  '/email-change': { title: 'Your new address', render: confirmEmail, guarded: true },
  '/email-undo': { title: 'Take your address back', render: undoEmail },
  '/not-me': { title: 'This was not me', render: notMe },
  '/deletion-undo': { title: 'Keep your account', render: undoDeletion },
};

const main = document.getElementById('main');
const account = document.getElementById('account');
/** Counts the pages: a page that took too long to load must not replace the next one. */
let turn = 0;

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="/"]');
  const isPlain = !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button > 0);
  if (!link || !isPlain) return;
  event.preventDefault();
  void go(link.getAttribute('href'));
});
document.querySelector('.skip').addEventListener('click', (event) => {
  // As a change of the address it would draw the page anew, without what the user has typed.
  event.preventDefault();
  main.focus();
});
addEventListener('popstate', () => arrive());
onCount(showCount);
auth.subscribe(showState);
showState(auth.getSnapshot());
createPanel(document.getElementById('panel'));
void show();

/** Goes to another page of the club. */
function go(href, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  return arrive();
}

function arrive() {
  announce('');
  scrollTo(0, 0);
  return show({ isNew: true });
}

/**
 * Shows the page of the address. With Doorward, each route change asks the server whether the user is signed in. A user
 * who was signed in a moment ago does not wait for the answer, and is redirected if it is no.
 */
async function show({ isNew = false } = {}) {
  const mine = ++turn;
  keepCode();
  const route = ROUTES[location.pathname];
  const asked = auth.onRouteChange();
  document.title = `${route?.title ?? 'Not found'} · The Club`;
  markCurrentLink();
  if ((route?.guarded || route?.forGuests) && auth.getSnapshot().status !== 'signed-in') await asked;
  if (mine !== turn || leadAway(route)) return;
  main.setAttribute('aria-busy', 'true');
  const page = await draw(route);
  if (mine !== turn) return;
  // The button that had the focus may be gone. The focus must not go back to the top of the document.
  const hadFocus = main.contains(document.activeElement);
  main.replaceChildren(page);
  main.removeAttribute('aria-busy');
  if (isNew || hadFocus) main.querySelector('h1').focus();
}

async function draw(route) {
  if (!route) return lost('There is no such page', 'The address may be misspelt.');
  if (route.guarded && auth.getSnapshot().status === 'unknown') return outOfReach(NO_ANSWER);
  try {
    return await route.render({ go, signOut, next: location.search, refresh: () => show() });
  } catch (error) {
    return outOfReach(sentence(error));
  }
}

const NO_ANSWER = 'The sign-in service does not answer. This page goes on by itself as soon as it does.';

function lost(title, text) {
  return element(
    'div',
    {},
    heading(title, text),
    element('p', {}, element('a', { href: '/' }, 'Back to the catalogue')),
  );
}

function outOfReach(text) {
  const again = element('button', { type: 'button' }, 'Try again');
  return element(
    'div',
    {},
    heading('Just a moment', text),
    action(again, () => show({ isNew: true })),
  );
}

/** The cart needs a signed-in user, and the sign-in page a signed-out one. @returns whether it redirected */
function leadAway(route) {
  const { status } = auth.getSnapshot();
  if (route?.guarded && status === 'signed-out') {
    void go(`/sign-in?next=${location.pathname}`, { replace: true });
    return true;
  }
  if (route?.forGuests && status === 'signed-in') {
    void go(nextPath(), { replace: true });
    return true;
  }
  return false;
}

/** Only a page of this club: an attacker may have put another URL into the link. */
function nextPath() {
  const next = new URLSearchParams(location.search).get('next');
  return next !== null && Object.hasOwn(ROUTES, next) ? next : '/';
}

/** Called after a sign-in or sign-out, in this tab or another one. */
function showState({ status, user }) {
  if (status !== 'unknown') account.replaceChildren(...(user ? member(user) : guest()));
  const route = ROUTES[location.pathname];
  const isElsewhere = leadAway(route);
  if (status === 'signed-out' && route?.guarded) announce('You are signed out.');
  if (!isElsewhere && route?.guarded && status === 'signed-in') void show();
}

function member({ email }) {
  const button = element('button.quiet', { type: 'button' }, 'Sign out');
  return [element('span.who', { title: email }, email), action(button, signOut)];
}

function guest() {
  return [element('a', { href: '/sign-in' }, 'Sign in'), element('a.button', { href: '/sign-up' }, 'Join')];
}

/** At the link to the cart. Screen readers read "Cart (2 items)". */
function showCount(count) {
  const parts = [
    element('span.unseen', {}, ` (${plural(count, 'item')})`),
    element('span.count', { 'aria-hidden': 'true' }, String(count)),
  ];
  document.getElementById('count').replaceChildren(...(count > 0 ? parts : []));
}

async function signOut() {
  await auth.signOut();
  await go('/');
  announce('You are signed out, in all tabs of this browser.');
}

function markCurrentLink() {
  const under = ROUTES[location.pathname]?.under;
  for (const link of document.querySelectorAll('header a')) {
    const href = link.getAttribute('href');
    if (href === location.pathname) link.setAttribute('aria-current', 'page');
    else if (href === under) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}
