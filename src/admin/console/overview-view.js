import { barChart, clock } from './chart.js';
import { h, heading, section } from './dom.js';
import { table } from './list.js';

/**
 * @typedef {{ hour: string, sign_ins: number, failures: number, sign_ups: number }} Hour
 * @param {import('./main.js').Context} context
 */
export async function viewOverview({ api }) {
  const { users, live_sessions, live_sessions_estimated, by_hour } = await api.get('/stats');
  /** @type {Hour[]} */
  const hours = by_hour;
  return [
    heading('Overview'),
    h(
      'ul',
      { class: 'numbers' },
      number('Users', about(users.total, users.estimated), '#/users'),
      number('Active', about(users.active, users.estimated), '#/users?status=active'),
      number('Banned', about(users.banned), '#/users?status=banned'),
      number('Not verified', about(users.unverified), '#/users?verified=false'),
      number('Live sessions', about(live_sessions, live_sessions_estimated)),
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

/** Millions of rows are not counted one by one. @param {number} count @param {boolean} [isEstimate] */
function about(count, isEstimate = false) {
  return `${isEstimate ? '≈ ' : ''}${new Intl.NumberFormat('en-GB').format(count)}`;
}

/** @param {string} name @param {string} count @param {string} [href] */
function number(name, count, href) {
  const content = [h('span', {}, name), ' ', h('strong', {}, count)];
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
