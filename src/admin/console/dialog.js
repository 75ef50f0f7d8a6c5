import { h } from './dom.js';
import { valuesOf } from './forms.js';

/**
 * @typedef {import('./dom.js').Child} Child
 * @typedef {object} Question
 * @property {string} title
 * @property {Child[]} content
 * @property {string} submit what the button says
 * @property {boolean} [isDangerous]
 * @property {(values: Record<string, string>, form: HTMLFormElement) => Promise<unknown>} act an error that it throws is shown
 */

/** The dialogs that are open, so that they can be closed when the person is signed out. @type {Set<HTMLDialogElement>} */
const open = new Set();

/**
 * Asks before something is done. The dialog stays until it is done or given up.
 * @param {Question} question
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, content, submit, isDangerous = false, act }) {
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const button = h('button', { class: isDangerous ? 'danger' : 'main' }, submit);
  /** @type {HTMLFormElement} */
  const form = h(
    'form',
    { onsubmit: send },
    h('h2', {}, title),
    ...content,
    problem,
    h('div', { class: 'buttons' }, button, h('button', { type: 'button', onclick: giveUp }, 'Cancel')),
  );
  let isDone = false;
  let isBusy = false;
  /** @type {HTMLDialogElement} */
  const dialog = h('dialog', { 'aria-label': title, oncancel: giveUp }, form);
  return show(dialog).then(() => isDone);

  /** What is on its way cannot be taken back, and the view must show what came of it. @param {Event} event */
  function giveUp(event) {
    event.preventDefault();
    if (!isBusy) dialog.close();
  }

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (isBusy) return;
    problem.hidden = true;
    isBusy = true;
    form.setAttribute('aria-busy', 'true');
    try {
      await act(valuesOf(form), form);
      isDone = true;
      dialog.close();
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
    } finally {
      isBusy = false;
      form.removeAttribute('aria-busy');
    }
  }
}

/**
 * Shows something until the person has read it.
 * @param {{ title: string, content: Child[], done: string }} message
 */
export function tell({ title, content, done }) {
  /** @type {HTMLDialogElement} */
  const dialog = h(
    'dialog',
    { 'aria-label': title },
    h('h2', {}, title),
    ...content,
    h('div', { class: 'buttons' }, h('button', { class: 'main', onclick: () => dialog.close() }, done)),
  );
  return show(dialog);
}

export function closeDialogs() {
  for (const dialog of open) dialog.close();
}

/** @param {HTMLDialogElement} dialog @returns {Promise<void>} when it is closed */
function show(dialog) {
  document.body.append(dialog);
  open.add(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      open.delete(dialog);
      dialog.remove();
      resolve();
    });
    dialog.showModal();
  });
}
