import { ask, tell } from './dialog.js';
import { badge, h, heading, none, time } from './dom.js';
import { field, wordsOf } from './forms.js';
import { createList } from './list.js';

/**
 * @typedef {object} Client
 * @property {string} client_id
 * @property {string} name
 * @property {'secret' | 'public_keys'} authentication
 * @property {string[]} scopes
 * @property {string[]} audiences
 * @property {string} created_at
 * @property {string | null} disabled_at
 *
 * @typedef {import('./main.js').Context} Context
 */

/** @param {Context} context */
export async function viewClients(context) {
  const { api, announce } = context;
  const list = createList({
    label: 'Service clients',
    columns: columnsOf(context),
    empty: 'There are no service clients yet.',
    announce,
    async read(after) {
      const page = await api.get('/clients', { after });
      return { rows: /** @type {Client[]} */ (page.clients), next: page.next };
    },
  });
  await list.load();
  return [
    h(
      'div',
      { class: 'head' },
      heading('Service clients'),
      h('button', { id: 'add-client', onclick: () => add(context) }, 'New client'),
    ),
    list.element,
  ];
}

/** @param {Context} context @returns {import('./list.js').Column<Client>[]} */
function columnsOf(context) {
  return [
    {
      name: 'Client',
      show: ({ client_id, name }) => [
        h('strong', {}, client_id),
        name === client_id ? null : h('span', { class: 'soft' }, ` ${name}`),
      ],
    },
    { name: 'Audiences', show: ({ audiences }) => words(audiences) },
    { name: 'Scopes', show: ({ scopes }) => words(scopes) },
    { name: 'Since', show: ({ created_at }) => time(created_at) },
    {
      name: 'Status',
      show: ({ disabled_at }) => (disabled_at ? badge('disabled', 'bad') : badge('enabled', 'good')),
    },
    { name: 'Actions', show: (client) => actsOf(client, context) },
  ];
}

/** @param {string[]} all */
function words(all) {
  return all.length > 0 ? all.map((word) => badge(word)) : none();
}

/** @param {Client} client @param {Context} context */
function actsOf({ client_id, authentication, disabled_at }, { api, announce, refresh }) {
  const path = `/clients/${encodeURIComponent(client_id)}`;
  const toggle = disabled_at
    ? { name: 'Enable', call: 'enable', says: 'Its credentials count again.', said: 'enabled' }
    : {
        name: 'Disable',
        call: 'disable',
        says: 'It gets no tokens, and those that it has are void.',
        said: 'disabled',
      };
  const canRotate = authentication === 'secret' && !disabled_at;
  return h(
    'div',
    { class: 'buttons' },
    canRotate
      ? h('button', { class: 'quiet', id: `rotate-${client_id}`, onclick: rotate }, 'New secret')
      : null,
    h('button', { class: 'quiet', id: `toggle-${client_id}`, onclick: change }, toggle.name),
  );

  async function change() {
    const done = await ask({
      title: `${toggle.name} ${client_id}?`,
      content: [h('p', {}, toggle.says)],
      submit: toggle.name,
      isDangerous: !disabled_at,
      act: () => api.post(`${path}/${toggle.call}`),
    });
    if (!done) return;
    await refresh();
    announce(`${client_id} is ${toggle.said}.`);
  }

  async function rotate() {
    await askForSecret({
      title: `New secret for ${client_id}`,
      content: [
        field({
          ...{ name: 'overlap', label: 'The old secret counts for another', value: '86400' },
          choices: [
            ['0', 'no time at all: it may be known'],
            ['3600', 'hour'],
            ['86400', 'day'],
            ['604800', 'week'],
          ],
        }),
      ],
      submit: 'Make it',
      act: ({ overlap }) => api.post(`${path}/rotate-secret`, { overlap_seconds: Number(overlap) }),
    });
    await refresh();
  }
}

/** @param {Context} context */
async function add({ api, refresh }) {
  await askForSecret({
    title: 'New service client',
    content: [
      field({ name: 'id', label: 'Id', hint: 'Such as orders.', required: true, autocomplete: 'off' }),
      field({ name: 'name', label: 'Name', hint: 'For people. May be left out.', maxlength: 100 }),
      field({
        name: 'audiences',
        label: 'Audiences',
        hint: 'Services whose tokens it may get, with spaces between them.',
      }),
      field({ name: 'scopes', label: 'Scopes', hint: 'With spaces between them. May be left out.' }),
    ],
    submit: 'Register it',
    act: ({ id, name, audiences, scopes }) =>
      api.post('/clients', {
        client_id: id,
        ...(name && { name }),
        ...{ audiences: wordsOf(audiences), scopes: wordsOf(scopes) },
      }),
  });
  await refresh();
}

/**
 * Asks, and shows the secret of the answer. Nothing keeps it: it is in this dialog alone.
 * @param {import('./dialog.js').Question} question whose act answers with a client and its secret
 */
async function askForSecret(question) {
  /** @type {{ client: Client, client_secret: string | null } | undefined} */
  let answer;
  const act = async (/** @type {[Record<string, string>, HTMLFormElement]} */ ...given) => {
    answer = /** @type {any} */ (await question.act(...given));
  };
  await ask({ ...question, act });
  if (!answer?.client_secret) return;
  await tell({
    title: `The secret of ${answer.client.client_id}`,
    content: [
      h('p', {}, 'Keep it now: it is not shown again.'),
      h('pre', { class: 'secret' }, h('code', {}, answer.client_secret)),
    ],
    done: 'I have kept it',
  });
}
