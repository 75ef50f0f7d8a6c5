import { element } from '../dom.js';

/**
 * An input with its label, its hint, and a place for what is wrong with it, which is read aloud when it changes and
 * again with the input.
 * @param {string} name
 * @param {string} label
 * @param {Record<string, unknown>} attributes of the input; `id` where the page has two of the same name
 * @param {string | null} hint
 * @param {(input: HTMLInputElement) => Node} wrap puts something beside the input
 */
export function field(name, label, { id = name, ...attributes }, hint = null, wrap = (input) => input) {
  const error = element('p.error', { id: `${id}-error`, role: 'alert' });
  const described = hint ? `${id}-hint ${id}-error` : `${id}-error`;
  const input = element('input', {
    id,
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
      element('label', { for: id }, label),
      hint ? element('p.hint', { id: `${id}-hint` }, hint) : null,
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

/** What was typed as the address. In memory: a URL would end up in logs. */
let typed = '';

/** An e-mail address, which stays when the user changes to another page with such a field. */
export function emailField() {
  const email = field('email', 'E-mail address', { type: 'email', autocomplete: 'username', value: typed });
  email.input.addEventListener('input', () => {
    typed = email.input.value;
  });
  return email;
}

/** Called after a sign-in: the next user of this tab need not see it. */
export function forgetEmail() {
  typed = '';
}

export const PASSWORD_HINT = 'At least 8 characters. A few words that do not belong together are good.';

/** With a button that shows the password. `hide` hides it again, so that browsers offer to save it. */
export function passwordField({ name = 'password', label = 'Password', ...attributes }, hint = null) {
  const verb = element('span', {}, 'Show');
  const noun = element('span.unseen', {}, ` ${label.toLowerCase()}`);
  const button = element('button.reveal', { type: 'button' }, verb, noun);
  const beside = (input) => element('div.beside', {}, input, button);
  const password = field(name, label, { type: 'password', ...attributes }, hint, beside);
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
