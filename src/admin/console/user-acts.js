import { ask } from './dialog.js';
import { h } from './dom.js';
import { field, instantOf } from './forms.js';

/**
 * The buttons for what can be done to a user.
 * @param {import('./users-view.js').User} user
 * @param {import('./main.js').Context} context
 */
export function userActs(user, { api, announce, refresh }) {
  const path = `/users/${encodeURIComponent(user.id)}`;
  const isBanned = user.status === 'banned';
  return h(
    'div',
    { class: 'buttons' },
    h('button', { id: 'act-ban', onclick: isBanned ? unban : ban }, isBanned ? 'Lift the ban' : 'Ban…'),
    h('button', { id: 'act-reset', onclick: forceReset }, 'Force a new password…'),
    h('button', { id: 'act-delete', class: 'danger', onclick: remove }, 'Delete…'),
  );

  /** @param {import('./dialog.js').Question} question @param {string} said */
  async function change(question, said) {
    if (!(await ask(question))) return;
    await refresh();
    announce(said);
  }

  function ban() {
    return change(
      {
        title: 'Ban this user',
        content: [
          h('p', {}, `${user.email} is signed out everywhere, and cannot sign in.`),
          field({
            name: 'reason',
            label: 'Reason',
            hint: 'For the record; the user is not told.',
            maxlength: 500,
          }),
          field({
            ...{ name: 'until', label: 'Until', type: 'datetime-local' },
            hint: 'In your own time zone. Empty: until somebody lifts it.',
          }),
        ],
        submit: 'Ban',
        isDangerous: true,
        act: ({ reason, until }) =>
          api.post(`${path}/ban`, { ...(reason && { reason }), ...(until && { until: instantOf(until) }) }),
      },
      'The user is banned.',
    );
  }

  function unban() {
    return change(
      {
        title: 'Lift the ban?',
        content: [h('p', {}, `${user.email} can sign in again.`)],
        submit: 'Lift it',
        act: () => api.post(`${path}/unban`),
      },
      'The ban is lifted.',
    );
  }

  function forceReset() {
    return change(
      {
        title: 'Force a new password?',
        content: [
          h(
            'p',
            {},
            `The password of ${user.email} is void, and all sessions end. The way back in is a code sent by mail.`,
          ),
        ],
        submit: 'Force it',
        isDangerous: true,
        act: () => api.post(`${path}/force-reset`),
      },
      'A new password is needed.',
    );
  }

  async function remove() {
    const done = await ask({
      title: 'Delete this user',
      content: [
        h('p', {}, 'The account and all that belongs to it is gone for good. To be sure, type its address:'),
        h('p', {}, h('code', {}, user.email)),
        field({ name: 'typed', label: 'E-mail address of the account', required: true, autocomplete: 'off' }),
      ],
      submit: 'Delete for good',
      isDangerous: true,
      async act({ typed = '' }) {
        if (typed.toLowerCase() !== user.email)
          throw new Error('That is another address. Nothing was deleted.');
        await api.remove(path);
      },
    });
    if (!done) return;
    announce(`${user.email} is deleted.`);
    location.hash = '#/users';
  }
}
