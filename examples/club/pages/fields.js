import { element } from '../dom.js';

/**
 * An input with its label, its hint, and a place for what is wrong with it, which is read aloud when it changes and
 * again with the input.
 * @param {string} name
 * @param {string} label
 * @param {Record<string, unknown>} attributes of the input
 * @param {string | null} hint
 * @param {(input: HTMLInputElement) => Node} wrap puts something beside the input
 */
export function field(name, label, attributes, hint = null, wrap = (input) => input) {
  const error = element('p.error', { id: `${name}-error`, role: 'alert' });
  const described = hint ? `${name}-hint ${name}-error` : `${name}-error`;
  const input = element('input', {
    id: name,
    name,
    required: true,
    'aria-describedby': described,
    ...attributes,
  });
  return {
    input,
    node: element(
      'div.field',
      {},
      element('label', { for: name }, label),
      hint ? element('p.hint', { id: `${name}-hint` }, hint) : null,
      wrap(input),
      error,
    ),
    /** Shows what is wrong; nothing is wrong without arguments. */
    complain(...parts) {
      error.replaceChildren(...parts);
      if (parts.length > 0) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    },
  };
}

/** With a button that shows the password. `hide` hides it again, so that browsers offer to save it. */
export function passwordField(attributes, hint) {
  const verb = element('span', {}, 'Show');
  const button = element('button.reveal', { type: 'button' }, verb, element('span.unseen', {}, ' password'));
  const beside = (input) => element('div.beside', {}, input, button);
  const password = field('password', 'Password', { type: 'password', ...attributes }, hint, beside);
  const show = (isShown) => {
    password.input.type = isShown ? 'text' : 'password';
    verb.textContent = isShown ? 'Hide' : 'Show';
  };
  button.addEventListener('click', () => show(password.input.type === 'password'));
  return { ...password, hide: () => show(false) };
}

/** @returns the errors that belong to one of these fields: `[name, message]` */
export function errorsOf({ errors = [] }, fields) {
  return errors
    .map(({ path, message }) => [path.slice(1), message])
    .filter(([name]) => Object.hasOwn(fields, name));
}
