import { barChart, clock } from './chart.js';
import { h, heading, section } from './dom.js';
import { table } from './list.js';

/**
 * @typedef {{ hour: string, sign_ins: number, failures: number, sign_ups: number }} Hour
 * @param {import('./main.js').Context} context
 */
export async function viewOverview({ api }) {
  const { users, live_sessions, by_hour } = await api.get('/stats');
  /** @type {Hour[]} */
  const hours = by_hour;
  return [
    heading('Overview'),
    h(
      'ul',
      { class: 'numbers' },
      number('Users', users.total, '#/users'),
      number('Active', users.active, '#/users?status=active'),
      number('Banned', users.banned, '#/users?status=banned'),
      number('Not verified', users.unverified, '#/users?verified=false'),
      number('Live sessions', live_sessions),
    ),
    section(
      'The last 24 hours',
      h(
        'div',
        { class: 'charts' },
        barChart(
          'Sign-ins',
          hours.map(({ hour, sign_ins: count }) => ({ hour, count })),
          'good',
        ),
        barChart(
          'Failed sign-ins',
          hours.map(({ hour, failures: count }) => ({ hour, count })),
          'bad',
        ),
        barChart(
          'Sign-ups',
          hours.map(({ hour, sign_ups: count }) => ({ hour, count })),
          'good',
        ),
      ),
      h('details', {}, h('summary', {}, 'The same as a table'), asTable(hours)),
    ),
  ];
}

/** @param {string} name @param {number} count @param {string} [href] */
function number(name, count, href) {
  const value = h('strong', {}, new Intl.NumberFormat('en-GB').format(count));
  const content = [h('span', {}, name), ' ', value];
  return h('li', {}, href ? h('a', { href }, ...content) : h('div', {}, ...content));
}

/** @param {Hour[]} hours */
function asTable(hours) {
  return table(
    'Sign-ins, failures and sign-ups by hour',
    [
      { name: 'From', show: ({ hour }) => h('time', { datetime: hour }, clock(hour)) },
      { name: 'Sign-ins', show: ({ sign_ins }) => sign_ins },
      { name: 'Failed', show: ({ failures }) => failures },
      { name: 'Sign-ups', show: ({ sign_ups }) => sign_ups },
    ],
    hours.toReversed(),
  );
}
