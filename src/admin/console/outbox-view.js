import { ask } from './dialog.js';
import { badge, h, heading, none, time } from './dom.js';
import { createList } from './list.js';

/**
 * @typedef {{ id: string, lane: string, created_at: string, attempts: number, dead_at: string, last_error: string | null }} Message
 * @param {import('./main.js').Context} context
 */
export async function viewOutbox({ api, announce, refresh }) {
  const list = createList({
    label: 'Dead messages',
    columns: /** @type {import('./list.js').Column<Message>[]} */ ([
      { name: 'Lane', show: ({ lane }) => badge(lane) },
      { name: 'Made', show: ({ created_at }) => time(created_at) },
      { name: 'Given up', show: ({ dead_at }) => time(dead_at) },
      { name: 'Attempts', show: ({ attempts }) => attempts },
      { name: 'Last error', show: ({ last_error }) => last_error ?? none() },
      { name: 'Actions', show: actsOf },
    ]),
    empty: 'Nothing was given up: all messages were sent, or will be.',
    announce,
    async read(after) {
      const page = await api.get('/outbox', { after });
      return { rows: page.messages, next: page.next };
    },
  });
  await list.load();
  return [
    heading('Outbox'),
    h(
      'p',
      { class: 'lead' },
      'Messages that could not be sent, however often it was tried: mails, and what other systems are told.',
    ),
    list.element,
  ];

  /** @param {Message} message */
  function actsOf({ id }) {
    const path = `/outbox/${encodeURIComponent(id)}`;
    return h(
      'div',
      { class: 'buttons' },
      h('button', { class: 'quiet', onclick: () => retry(path) }, 'Try again'),
      h('button', { class: 'quiet', onclick: () => drop(path) }, 'Drop'),
    );
  }

  /** @param {string} path */
  async function retry(path) {
    const done = await ask({
      title: 'Try this message again?',
      content: [h('p', {}, 'It is sent as soon as possible, with all its attempts before it.')],
      submit: 'Try it',
      act: () => api.post(`${path}/retry`),
    });
    if (!done) return;
    await refresh();
    announce('The message is tried again.');
  }

  /** @param {string} path */
  async function drop(path) {
    const done = await ask({
      title: 'Drop this message?',
      content: [h('p', {}, 'It is never sent.')],
      submit: 'Drop it',
      isDangerous: true,
      act: () => api.remove(path),
    });
    if (!done) return;
    await refresh();
    announce('The message is dropped.');
  }
}
