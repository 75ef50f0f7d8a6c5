import { h } from './dom.js';
import { valuesOf } from './forms.js';

/**
 * A list under a form that says what is in it. The filters stand in the address.
 * @param {object} parts
 * @param {string} parts.label
 * @param {Node[]} parts.fields
 * @param {ReturnType<typeof import('./list.js').createList>} parts.list which reads `valuesOf` the form
 * @param {HTMLFormElement} parts.form
 * @param {import('./main.js').Context} parts.context
 * @param {string} parts.noun what the rows are
 */
export async function filtered({ label, fields, list, form, context, noun }) {
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  form.setAttribute('role', 'search');
  form.setAttribute('aria-label', label);
  form.classList.add('filters');
  form.append(...fields, h('button', { class: 'main' }, 'Search'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      context.remember(valuesOf(form));
      const count = await list.load();
      context.announce(count === 1 ? `1 ${noun}` : `${count} ${noun}s`);
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
    }
  });
  await list.load();
  return [form, problem, list.element];
}
