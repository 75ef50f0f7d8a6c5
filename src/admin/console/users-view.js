import { ask } from './dialog.js';
import { badge, h, heading, none, time, userLink } from './dom.js';
import { filtered } from './filters.js';
import { field, instantOf, tick, valuesOf, wordsOf } from './forms.js';
import { createList } from './list.js';

/**
 * @typedef {object} User
 * @property {string} id
 * @property {string} email
 * @property {string} email_as_typed
 * @property {boolean} email_verified
 * @property {string | null} email_verified_at
 * @property {string | null} display_name
 * @property {string | null} locale
 * @property {object} metadata
 * @property {string[]} roles
 * @property {string} status
 * @property {string | null} banned_at
 * @property {string | null} banned_until
 * @property {string | null} ban_reason
 * @property {boolean} has_password
 * @property {string | null} external_id
 * @property {string} created_at
 * @property {string} updated_at
 * @property {string | null} deletion_due_at
 */

/** @type {[string, string][]} */
const STATUSES = [
  ['', 'Any'],
  ['active', 'Active'],
  ['banned', 'Banned'],
];

/** @param {import('./main.js').Context} context */
export async function viewUsers(context) {
  const { api, query, announce, may } = context;
  const { roles } = await api.get('/roles');
  const given = (/** @type {string} */ name) => query.get(name) ?? '';
  const form = h('form');
  const fields = [
    field({ name: 'search', label: 'Address or name', type: 'search', value: given('search') }),
    field({ name: 'status', label: 'Status', choices: STATUSES, value: given('status') }),
    field({ name: 'role', label: 'Role', choices: roleChoices(roles), value: given('role') }),
    field({
      ...{ name: 'verified', label: 'Address verified', value: given('verified') },
      choices: [
        ['', 'Either'],
        ['true', 'Yes'],
        ['false', 'No'],
      ],
    }),
    field({ name: 'created_after', label: 'Signed up from', type: 'date', value: given('created_after') }),
    field({
      name: 'created_before',
      label: 'Signed up before',
      type: 'date',
      value: given('created_before'),
    }),
  ];
  // Those of the first page: the form may have changed when more is wanted.
  /** @type {import('./api.js').Query} */
  let filters = {};
  const list = createList({
    label: 'Users',
    columns: COLUMNS,
    empty: 'No user is like that.',
    announce,
    async read(after) {
      if (after === null) filters = filtersOf(form);
      const page = await api.get('/users', { ...filters, after });
      return { rows: /** @type {User[]} */ (page.users), next: page.next };
    },
  });
  const add = h('button', { onclick: () => addUser(context) }, 'New account');
  return [
    h('div', { class: 'head' }, heading('Users'), may('admin:users:write') ? add : ''),
    ...(await filtered({ label: 'Users', fields, list, form, context, noun: 'user' })),
  ];
}

/** @param {HTMLFormElement} form */
function filtersOf(form) {
  const { created_after, created_before, ...others } = valuesOf(form);
  return { ...others, created_after: instantOf(created_after), created_before: instantOf(created_before) };
}

/** @param {{ name: string }[]} roles @returns {[string, string][]} */
function roleChoices(roles) {
  return [['', 'Any'], ...roles.map(({ name }) => /** @type {[string, string]} */ ([name, name]))];
}

/** @type {import('./list.js').Column<User>[]} */
const COLUMNS = [
  { name: 'Address', show: ({ id, email }) => h('a', { href: userLink(id) }, email) },
  { name: 'Name', show: ({ display_name }) => display_name ?? none() },
  { name: 'Status', show: statusOf },
  { name: 'Roles', show: ({ roles }) => (roles.length > 0 ? roles.map((role) => badge(role)) : none()) },
  { name: 'Signed up', show: ({ created_at }) => time(created_at) },
];

/** @param {User} user */
export function statusOf({ status, email_verified, deletion_due_at }) {
  return [
    badge(status, status === 'active' ? 'good' : 'bad'),
    email_verified ? null : badge('not verified'),
    deletion_due_at ? badge('to be deleted', 'bad') : null,
  ];
}

/** @param {import('./main.js').Context} context */
async function addUser({ api, announce }) {
  /** @type {User | undefined} */
  let made;
  await ask({
    title: 'New account',
    content: [
      field({ name: 'email', label: 'E-mail address', type: 'email', required: true }),
      field({ name: 'display_name', label: 'Name', hint: 'May be left out.', maxlength: 100 }),
      field({ name: 'roles', label: 'Roles', hint: 'With spaces between them. May be left out.' }),
      tick({ name: 'invite', label: 'Send a mail with a code to set the password', checked: true }),
    ],
    submit: 'Make the account',
    async act({ email, display_name, roles, invite }) {
      const name = display_name ? { display_name } : {};
      const wanted = wordsOf(roles);
      const body = { email, ...name, ...(wanted.length > 0 && { roles: wanted }), invite: invite === 'yes' };
      made = await api.post('/users', body);
    },
  });
  if (made === undefined) return;
  announce(`There is an account for ${made.email}.`);
  location.hash = userLink(made.id);
}
