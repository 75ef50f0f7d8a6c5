import { ask } from './dialog.js';
import { badge, h, heading, time } from './dom.js';
import { field } from './forms.js';
import { table } from './list.js';

/**
 * @typedef {object} Key
 * @property {string} kid
 * @property {string} algorithm
 * @property {string} status
 * @property {string} published_at
 * @property {string | null} activated_at
 * @property {string | null} retired_at
 * @property {string | null} revoked_at
 * @property {string | null} delete_after
 *
 * @typedef {import('./main.js').Context} Context
 */

/** @param {Context} context */
export async function viewKeys(context) {
  const { keys } = await context.api.get('/keys');
  return [
    h(
      'div',
      { class: 'head' },
      heading('Signing keys'),
      h('button', { id: 'rotate-keys', onclick: () => rotate(keys, context) }, 'Rotate…'),
    ),
    table('Signing keys', COLUMNS, keys),
  ];
}

/** @param {Key[]} keys @param {Context} context */
async function rotate(keys, { api, announce, refresh }) {
  const leaked = keys.filter(({ revoked_at }) => revoked_at === null);
  /** @type {{ changed: boolean, reason: string | null } | undefined} */
  let outcome;
  await ask({
    title: 'Rotate the signing keys',
    content: [
      field({
        ...{ name: 'how', label: 'How' },
        choices: [
          ['ahead', 'In order: the next key is published now, and signs when all services can have it'],
          ['now', 'At once: services that have not fetched the new key may refuse tokens for a while'],
        ],
      }),
      field({
        ...{ name: 'revoke', label: 'A key that has leaked' },
        hint: 'Its tokens are void everywhere within minutes. Only together with “at once”.',
        choices: [['', 'None'], ...leaked.map(({ kid }) => /** @type {[string, string]} */ ([kid, kid]))],
      }),
    ],
    submit: 'Rotate',
    isDangerous: true,
    async act({ how, revoke }) {
      if (revoke && how !== 'now') throw new Error('A leaked key is replaced at once: choose that above.');
      outcome = await api.post('/keys/rotate', { now: how === 'now', ...(revoke && { revoke }) });
    },
  });
  if (outcome === undefined) return;
  await refresh();
  announce(outcome.changed ? 'The keys are rotated.' : `Nothing was changed: ${outcome.reason}`);
}

/** @type {import('./list.js').Column<Key>[]} */
const COLUMNS = [
  { name: 'Key', show: ({ kid }) => h('code', {}, kid) },
  { name: 'Algorithm', show: ({ algorithm }) => algorithm },
  { name: 'Status', show: ({ status }) => badge(status, kindOf(status)) },
  { name: 'Public since', show: ({ published_at }) => time(published_at) },
  { name: 'Signs since', show: ({ activated_at }) => time(activated_at) },
  { name: 'Retired', show: ({ retired_at, revoked_at }) => time(revoked_at ?? retired_at) },
  { name: 'Deleted after', show: ({ delete_after }) => time(delete_after) },
];

/** @param {string} status */
function kindOf(status) {
  if (status === 'active') return 'good';
  return status === 'revoked' ? 'bad' : 'plain';
}
