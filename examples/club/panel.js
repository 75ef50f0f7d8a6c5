import { element } from './dom.js';
import { createShopPart } from './panel-shop.js';
import { auth } from './services.js';

const SHOWN_CLAIMS = ['sub', 'email', 'aud', 'scope', 'sid', 'jti'];

/**
 * "What lives where", updated each second. It shows what every script in the page could find out, and the claims of the
 * access token, which are no secret. It reads the token itself but does not keep it.
 */
export function createPanel(root) {
  const cookie = element('code', {});
  const claims = element('dl.claims', {});
  const left = element('span.countdown', {});
  const bar = element('progress', { max: '1', value: '0', 'aria-label': 'What is left of the access token' });
  const owned = element('p.none', {});
  const token = element(
    'div',
    { hidden: true },
    element('p.timer', {}, 'It ends in ', left, '. A minute before, a fresh one comes.'),
    bar,
    claims,
  );
  const noToken = element('p.none', {}, 'None. You are not signed in.');
  const storage = element('ul.checks', {});
  const once = element('p.none', {}, NO_ONCE);
  const shop = createShopPart();
  let seen = { jti: null, since: 0 };

  // A screen reader would read a name that changes each second again and again.
  const brief = element('span.brief', { 'aria-hidden': 'true' });
  const details = element(
    'details',
    {},
    element('summary', {}, element('h2', { id: 'panel-title' }, 'What lives where'), brief),
    section('cookie', 'Generate token', 'A cookie that no script can see. It lasts for weeks.', [
      owned,
      element('p.check', {}, element('code', {}, 'document.cookie'), ' → ', cookie),
    ]),
    section('memory', 'Access token', 'A variable of one module. It lasts for minutes.', [token, noToken]),
    section('once', 'One-time token', 'Made for one call of one service, and not kept.', [once]),
    section('storage', 'Everywhere else', 'No token, ever.', [storage]),
    section(
      'shop',
      'At the shop',
      'Your token on each request. It asks nobody about it: Doorward tells it who has signed out.',
      shop.children,
    ),
  );
  root.append(details);
  openBesidePage(details);
  document.addEventListener('club:minted', () => {
    once.textContent = 'Made for payments. It ends in a minute, or when it is used.';
  });
  document.addEventListener('club:spent', () => {
    once.textContent = 'Spent at payments. It opens nothing any more.';
  });
  document.addEventListener('club:refused', () => {
    once.textContent = 'Refused at payments when it was used again.';
  });
  auth.subscribe(({ status }) => {
    if (status === 'signed-out') once.textContent = NO_ONCE;
    void update();
  });
  setInterval(update, 1000);
  void update();

  async function update() {
    if (details.open) void shop.update();
    cookie.textContent = JSON.stringify(document.cookie);
    storage.replaceChildren(...storageChecks());
    const found = await auth.accessToken().then(claimsOf, () => null);
    const { status } = auth.getSnapshot();
    owned.textContent = OWNED[status];
    token.hidden = found === null;
    noToken.hidden = found !== null;
    brief.textContent = BRIEF[status];
    noToken.textContent = status === 'signed-out' ? 'None. You are not signed in.' : 'None at the moment.';
    if (found === null) forget();
    else show(found);
  }

  function forget() {
    seen = { jti: null, since: 0 };
    claims.replaceChildren();
  }

  function show(found) {
    // By this page's own clock, which may be wrong.
    if (found.jti !== seen.jti) {
      seen = { jti: found.jti, since: Date.now() };
      claims.replaceChildren(...SHOWN_CLAIMS.flatMap((name) => claim(name, found[name])));
    }
    const life = found.exp - found.iat;
    const seconds = Math.max(0, Math.round(life - (Date.now() - seen.since) / 1000));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    brief.textContent = `Access token: ${left.textContent}`;
    bar.value = seconds / life;
  }
}

/** Open where there is a place for it beside the page. On a phone it is one line at the bottom, until it is opened. */
function openBesidePage(details) {
  const isWide = matchMedia('(min-width: 56.01rem)');
  const follow = () => {
    details.open = isWide.matches;
  };
  isWide.addEventListener('change', follow);
  follow();
}

const BRIEF = { 'signed-in': 'No access token', 'signed-out': 'No access token', unknown: 'Not known yet' };

const NO_ONCE = 'None yet. Buying makes one.';

const OWNED = {
  'signed-in': 'You have one. The browser sends it along by itself.',
  'signed-out': 'You have none.',
  unknown: 'Only the server knows whether you have one.',
};

function section(kind, title, text, children) {
  return element(
    'section',
    { 'data-kind': kind },
    element('h3', {}, title),
    element('p', {}, text),
    ...children,
  );
}

function claim(name, value) {
  const text = Array.isArray(value) ? value.join(', ') : String(value);
  return [element('dt', {}, name), element('dd', {}, text === '' ? '(empty)' : text)];
}

function storageChecks() {
  return [
    check('localStorage', localStorage.length === 0),
    check('sessionStorage', sessionStorage.length === 0),
    check('The address and its history', !/ey[\w-]+\./.test(location.href + JSON.stringify(history.state))),
  ];
}

function check(name, isEmpty) {
  return element(
    'li',
    { 'data-ok': String(isEmpty) },
    name,
    element('span', {}, isEmpty ? 'empty' : 'not empty'),
  );
}

function claimsOf(token) {
  const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
