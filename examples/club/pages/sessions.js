import { action, announce, confirmed, element, heading, when } from '../dom.js';
import { auth } from '../services.js';

/** Where the user is signed in, and how to end that. */
export async function sessions({ refresh, signOut }) {
  const all = await auth.sessions();
  const others = all.filter(({ current }) => !current);
  return element(
    'div',
    {},
    heading(
      'Where you are signed in',
      'Each device has a session of its own. End those that you do not know.',
    ),
    element('h2', {}, 'This device'),
    element('ul.devices', {}, ...all.filter(({ current }) => current).map((session) => device(session, end))),
    element('h2', {}, 'Other devices'),
    others.length === 0
      ? element('p.empty', {}, 'None. You are signed in here only.')
      : element('ul.devices', {}, ...others.map((session) => device(session, end))),
    others.length > 1 ? endAll() : null,
    element('p.aside', {}, element('a', { href: '/account' }, 'Back to your account')),
  );

  function endAll() {
    const words = {
      label: 'End all other sessions',
      question: `Sign out on all ${others.length} other devices?`,
      yes: 'Yes, end them',
    };
    return confirmed(words, async () => {
      await auth.endOtherSessions();
      await refresh();
      announce('You are signed out on all other devices.');
    });
  }

  async function end(session) {
    if (session.current) return signOut();
    await auth.endSession(session.id);
    await refresh();
    announce(`${nameOf(session)} is signed out.`);
  }
}

function device(session, end) {
  const { current, ip, created_at, last_seen_at } = session;
  const label = current ? 'Sign out of this device' : `End: ${nameOf(session)}, since ${when(created_at)}`;
  const button = element(
    current ? 'button' : 'button.danger',
    { type: 'button', 'aria-label': label },
    current ? 'Sign out' : 'End',
  );
  return element(
    'li.device',
    {},
    element(
      'div',
      {},
      element('strong', {}, nameOf(session)),
      element('p', {}, `Signed in ${when(created_at)}, from ${ip ?? 'an unknown address'}`),
      current ? null : element('p', {}, `Last seen ${when(last_seen_at)}`),
    ),
    action(button, () => end(session)),
  );
}

const BROWSERS = [
  ['Edg/', 'Edge'],
  ['OPR/', 'Opera'],
  ['Firefox/', 'Firefox'],
  ['Chrome/', 'Chrome'],
  ['Safari/', 'Safari'],
];
const SYSTEMS = [
  ['Android', 'Android'],
  ['iPhone', 'iPhone'],
  ['iPad', 'iPad'],
  ['Windows', 'Windows'],
  ['Mac OS', 'macOS'],
  ['Linux', 'Linux'],
];

/** Good enough for users to recognize their own devices. */
function nameOf({ user_agent: agent }) {
  const find = (names) => names.find(([mark]) => agent?.includes(mark))?.[1];
  const browser = find(BROWSERS) ?? 'A program';
  const system = find(SYSTEMS);
  return system ? `${browser} on ${system}` : browser;
}
