import { h, heading, none, time, userLink } from './dom.js';
import { filtered } from './filters.js';
import { field, instantOf, valuesOf } from './forms.js';
import { createList } from './list.js';

/**
 * @typedef {object} AuditEvent
 * @property {string} id
 * @property {string} kind
 * @property {string} happened_at
 * @property {string | null} user_id
 * @property {{ kind: string | null, id: string | null } | null} actor
 * @property {string | null} session_id
 * @property {string | null} ip
 * @property {string | null} user_agent
 * @property {string | null} request_id
 * @property {Record<string, unknown> | null} details
 *
 * @typedef {import('./main.js').Context} Context
 */

/** @param {Context} context */
export async function viewAudit(context) {
  const { query } = context;
  const given = (/** @type {string} */ name) => query.get(name) ?? '';
  const form = h('form');
  const fields = [
    field({ name: 'subject', label: 'User id', value: given('subject') }),
    field({ name: 'actor', label: 'Done by id', value: given('actor') }),
    field({ name: 'kind', label: 'Kind', value: given('kind') }),
    field({ name: 'since', label: 'From', type: 'datetime-local', value: given('since') }),
    field({ name: 'until', label: 'Before', type: 'datetime-local', value: given('until') }),
  ];
  const list = eventList(context, () => {
    const { since, until, ...others } = valuesOf(form);
    return { ...others, since: instantOf(since), until: instantOf(until) };
  });
  const parts = await filtered({ label: 'Audit', fields, list, form, context, noun: 'event' });
  return [heading('Audit'), ...parts];
}

/**
 * @param {Context} context
 * @param {() => import('./api.js').Query} filtersNow
 * @param {import('./list.js').Column<AuditEvent>[]} [columns]
 */
export function eventList({ api, announce }, filtersNow, columns = COLUMNS) {
  // Those of the first page: the form may have changed when more is wanted.
  /** @type {import('./api.js').Query} */
  let filters = {};
  return createList({
    label: 'What happened',
    columns,
    empty: 'Nothing like that happened.',
    announce,
    async read(after) {
      if (after === null) filters = filtersNow();
      const page = await api.get('/audit', { ...filters, after });
      return { rows: /** @type {AuditEvent[]} */ (page.events), next: page.next };
    },
  });
}

/** @type {import('./list.js').Column<AuditEvent>[]} */
const COLUMNS = [
  { name: 'When', show: ({ happened_at }) => time(happened_at) },
  { name: 'What', show: ({ kind }) => h('code', {}, kind) },
  { name: 'User', show: ({ user_id }) => userOf(user_id) },
  { name: 'Done by', show: ({ actor }) => doneBy(actor) },
  { name: 'From', show: ({ ip }) => (ip ? h('span', { class: 'word' }, ip) : none()) },
  { name: 'More', show: more },
];

/** For the events of one user. */
export const COLUMNS_OF_ONE = COLUMNS.filter(({ name }) => name !== 'User').map((column) =>
  column.name === 'Done by' ? { ...column, show: doneByOf } : column,
);

/** @param {AuditEvent} event */
function doneByOf({ actor, user_id }) {
  return actor?.id && actor.id === user_id ? 'the user' : doneBy(actor);
}

/** @param {string | null} id */
function userOf(id) {
  return id === null ? none() : h('a', { href: userLink(id), title: id }, short(id));
}

/** @param {AuditEvent['actor']} actor */
function doneBy(actor) {
  if (!actor?.kind && !actor?.id) return none();
  if (actor.kind === 'user' && actor.id) return userOf(actor.id);
  return [actor.kind, actor.id].filter(Boolean).join(' ');
}

/** The end of an id tells more than its beginning, which is the time. @param {string} id */
function short(id) {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}

/** @param {AuditEvent} event */
function more({ details, user_agent, request_id, session_id }) {
  const told = {
    ...details,
    ...(user_agent && { user_agent }),
    ...(session_id && { session_id }),
    ...(request_id && { request_id }),
  };
  if (Object.keys(told).length === 0) return none();
  return h('details', {}, h('summary', {}, 'Details'), h('pre', {}, JSON.stringify(told, null, 2)));
}
