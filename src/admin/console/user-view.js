import { COLUMNS_OF_ONE, eventList } from './audit-view.js';
import { ask } from './dialog.js';
import { badge, facts, h, heading, none, section, time } from './dom.js';
import { tick } from './forms.js';
import { createList } from './list.js';
import { userActs } from './user-acts.js';
import { statusOf } from './users-view.js';

/**
 * @typedef {import('./users-view.js').User} User
 * @typedef {import('./main.js').Context} Context
 * @param {Context} context
 */
export async function viewUser(context) {
  const { api, id, may } = context;
  const path = `/users/${encodeURIComponent(id)}`;
  /** @type {[User, { roles: { name: string, scopes: string[], description: string | null }[] }]} */
  const [user, { roles }] = await Promise.all([api.get(path), api.get('/roles')]);
  const parts = await Promise.all([
    may('admin:sessions') ? sessionsOf(user, context).catch(missing('Sessions')) : '',
    may('admin:audit') ? eventsOf(user, context).catch(missing('What happened')) : '',
  ]);
  return [
    h('p', { class: 'back' }, h('a', { href: '#/users' }, '← All users')),
    heading(user.email),
    h('p', { class: 'badges' }, ...statusOf(user)),
    banNotice(user),
    may('admin:users:write') ? section('What can be done', userActs(user, context)) : '',
    h('div', { class: 'columns' }, profileOf(user), rolesOf(user, roles, context)),
    ...parts,
  ].filter((part) => part !== '');
}

/** A part that cannot be read leaves the others as they are. @param {string} title */
function missing(title) {
  return (/** @type {Error} */ { message }) => section(title, h('p', { class: 'problem' }, message));
}

/** @param {User} user */
function banNotice({ banned_at, banned_until, ban_reason }) {
  if (!banned_at) return '';
  return h(
    'div',
    { class: 'notice' },
    h(
      'p',
      {},
      'Banned since ',
      time(banned_at),
      banned_until ? ', until ' : ', for good',
      banned_until ? time(banned_until) : '',
      '.',
    ),
    ban_reason ? h('p', {}, `Reason: ${ban_reason}`) : '',
  );
}

/** @param {User} user */
function profileOf(user) {
  const metadata = JSON.stringify(user.metadata, null, 2);
  return section(
    'Profile',
    facts([
      ['Name', user.display_name],
      ['Address as typed', user.email_as_typed],
      ['Address verified', user.email_verified_at ? time(user.email_verified_at) : 'no'],
      ['Language', user.locale],
      ['Password', user.has_password ? 'set' : 'none'],
      ['Signed up', time(user.created_at)],
      ['Changed', time(user.updated_at)],
      ...deletionOf(user),
      ['Id', h('code', {}, user.id)],
      ['Id elsewhere', user.external_id],
      ['Metadata', metadata === '{}' ? none() : h('pre', {}, metadata)],
    ]),
  );
}

/** @param {User} user @returns {import('./dom.js').Fact[]} */
function deletionOf({ deletion_due_at }) {
  return deletion_due_at ? [['Will be deleted', time(deletion_due_at)]] : [];
}

/** @param {User} user @param {{ name: string, scopes: string[], description: string | null }[]} roles @param {Context} context */
function rolesOf(user, roles, { api, announce, refresh, may }) {
  const known = new Set([...roles.map(({ name }) => name), ...user.roles]);
  if (!may('admin:users:write'))
    return section(
      'Roles',
      h('p', {}, ...(user.roles.length > 0 ? user.roles.map((role) => badge(role)) : [none()])),
    );
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const boxes = [...known].toSorted().map((name) => {
    const description = roles.find((role) => role.name === name)?.description;
    const checked = user.roles.includes(name);
    return tick({
      name: 'role',
      value: name,
      label: description ? `${name}: ${description}` : name,
      checked,
    });
  });
  const form = h(
    'form',
    { onsubmit: save },
    h('fieldset', {}, h('legend', { class: 'unseen' }, 'Roles of this user'), ...boxes),
    problem,
    h('button', { id: 'save-roles' }, 'Save the roles'),
  );
  return section('Roles', form);

  /** @param {SubmitEvent} event */
  async function save(event) {
    event.preventDefault();
    problem.hidden = true;
    try {
      const chosen = new FormData(form).getAll('role').map(String);
      await api.patch(`/users/${encodeURIComponent(user.id)}`, { roles: chosen });
      await refresh();
      announce('The roles are saved.');
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
    }
  }
}

/** @typedef {{ id: string, created_at: string, last_seen_at: string, authenticated_at: string, expires_at: string, ip: string | null, user_agent: string | null }} Session */

/** @param {User} user @param {Context} context */
async function sessionsOf(user, { api, announce, refresh }) {
  const path = `/users/${encodeURIComponent(user.id)}/sessions`;
  const list = createList({
    label: 'Sessions',
    empty: 'Signed in nowhere.',
    announce,
    columns: /** @type {import('./list.js').Column<Session>[]} */ ([
      { name: 'Device', show: ({ user_agent }) => user_agent ?? none() },
      { name: 'IP', show: ({ ip }) => (ip ? h('span', { class: 'word' }, ip) : none()) },
      { name: 'Signed in', show: ({ authenticated_at }) => time(authenticated_at) },
      { name: 'Last seen', show: ({ last_seen_at }) => time(last_seen_at) },
      {
        name: 'Actions',
        show: ({ id }) => h('button', { class: 'quiet', onclick: () => endOne(id) }, 'End'),
      },
    ]),
    async read(after) {
      const page = await api.get(path, { after });
      return { rows: page.sessions, next: page.next };
    },
  });
  const count = await list.load();
  const endAll = h('button', { id: 'end-sessions', onclick: end }, 'End all sessions');
  return section('Sessions', list.element, count > 0 ? h('div', { class: 'buttons' }, endAll) : '');

  /** @param {string} id */
  async function endOne(id) {
    const done = await ask({
      title: 'End this session?',
      content: [h('p', {}, 'The device is signed out at once.')],
      submit: 'End it',
      act: () => api.remove(`/sessions/${encodeURIComponent(id)}`),
    });
    if (!done) return;
    await refresh();
    announce('The session has ended.');
  }

  async function end() {
    const done = await ask({
      title: 'End all sessions?',
      content: [h('p', {}, `${user.email} is signed out everywhere, and may sign in again.`)],
      submit: 'End them',
      act: () => api.remove(path),
    });
    if (!done) return;
    await refresh();
    announce('All sessions have ended.');
  }
}

/** @param {User} user @param {Context} context */
async function eventsOf(user, context) {
  const list = eventList(context, () => ({ subject: user.id, limit: 20 }), COLUMNS_OF_ONE);
  await list.load();
  return section('What happened', list.element);
}
