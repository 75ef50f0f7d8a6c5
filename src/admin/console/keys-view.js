import { ask } from './dialog.js';
import { badge, facts, h, heading, section, time } from './dom.js';
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
  const { keys, schedule } = await context.api.get('/keys');
  return [
    h(
      'div',
      { class: 'head' },
      heading('Signing keys'),
      h('button', { id: 'rotate-keys', onclick: () => rotate(keys, context) }, 'Rotate…'),
    ),
    section('Schedule', scheduleOf(schedule)),
    h('div', { class: 'list' }, table('Signing keys', COLUMNS, keys)),
  ];
}

/** @param {{ algorithm: string, rotate_every_seconds: number, publish_ahead_seconds: number, retain_seconds: number, next_rotation_at: string | null }} schedule */
function scheduleOf(schedule) {
  return facts([
    ['The next key signs', time(schedule.next_rotation_at)],
    ['Algorithm of the next key', schedule.algorithm],
    ['Each key signs for', span(schedule.rotate_every_seconds)],
    ['Public before it signs', span(schedule.publish_ahead_seconds)],
    ['Public after it signed last', span(schedule.retain_seconds)],
  ]);
}

/** @type {[seconds: number, name: string][]} */
const UNITS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
];

/** In the largest unit that needs no fraction. @param {number} seconds */
function span(seconds) {
  const [size, name] = UNITS.find(([unit]) => seconds % unit === 0) ?? [1, 'second'];
  const count = seconds / size;
  return `${count} ${name}${count === 1 ? '' : 's'}`;
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
        hint: 'Its tokens are void everywhere within minutes. It is replaced at once.',
        choices: [['', 'None'], ...leaked.map(({ kid }) => /** @type {[string, string]} */ ([kid, kid]))],
      }),
    ],
    submit: 'Rotate',
    isDangerous: true,
    async act({ how, revoke }) {
      outcome = await api.post('/keys/rotate', revoke ? { revoke } : { now: how === 'now' });
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
