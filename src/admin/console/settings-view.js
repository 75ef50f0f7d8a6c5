import { badge, h, heading, none } from './dom.js';
import { table } from './list.js';

/**
 * @typedef {{ name: string, value: string | null, source?: 'default' | 'set' }} Setting
 * @param {import('./main.js').Context} context
 */
export async function viewSettings({ api }) {
  const { settings } = await api.get('/settings');
  return [
    heading('Settings'),
    h(
      'p',
      { class: 'lead' },
      'What this server runs with. Settings are changed in its environment, never here; secrets are not shown.',
    ),
    table(
      'Settings',
      /** @type {import('./list.js').Column<Setting>[]} */ ([
        { name: 'Name', show: ({ name }) => h('code', {}, name) },
        { name: 'Value', show: ({ value }) => (value === null || value === '' ? none() : String(value)) },
        { name: 'From', show: ({ source }) => (source === 'set' ? badge('set', 'good') : 'default') },
      ]),
      settings,
    ),
  ];
}
