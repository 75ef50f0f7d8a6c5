import { element, sentence } from '../dom.js';
import { errorsOf } from './fields.js';

/**
 * A form that the server checks: the browser's own messages disappear before slow readers have read them.
 * @param {Record<string, ReturnType<import('./fields.js').field>>} fields by the server's names, shown in this order
 * @param {string} verb of the button
 * @param {(values: Record<string, string>) => Promise<unknown>} send gets what was typed; passwords are emptied after it
 * @param {(error: Error) => boolean} explain returns whether it has told the user what is wrong
 */
export function form({ fields = {}, verb, style = 'primary', send, explain = () => false }) {
  const button = element(`button.${style}`, { type: 'submit' }, verb);
  const error = element('p.error', { role: 'alert' });
  const all = Object.values(fields);
  const node = element('form', { novalidate: true }, ...all.map((field) => field.node), error, button);
  node.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    error.replaceChildren();
    for (const field of all) field.complain();
    for (const field of all) field.hide?.();
    try {
      await send(Object.fromEntries(Object.entries(fields).map(([name, { input }]) => [name, input.value])));
      for (const { input } of all) if (input.type === 'password') input.value = '';
    } catch (thrown) {
      if (!explain(thrown)) showError(thrown, fields, error);
    } finally {
      button.removeAttribute('aria-disabled');
    }
  });
  return node;
}

/** Shows each error in one place: at its field. What belongs to no field is shown at the last one. */
function showError(error, fields, place) {
  const wrong = errorsOf(error, fields);
  for (const [name, message] of wrong) fields[name].complain(message);
  const last = error.code === 'invalid_code' ? fields.code : Object.values(fields).at(-1);
  if (wrong.length === 0 && !last) return place.replaceChildren(sentence(error));
  if (wrong.length === 0) last.complain(sentence(error));
  const { input } = wrong.length > 0 ? fields[wrong[0][0]] : last;
  input.focus();
  input.select();
}

/** Puts what was reached in the place of a form, and the focus there, so that it is read aloud. */
export function replaceForm(node, ...children) {
  const note = element('div.note', { tabindex: '-1' }, ...children);
  node.replaceWith(note);
  note.focus();
}
