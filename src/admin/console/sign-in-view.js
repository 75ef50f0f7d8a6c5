import { h, heading } from './dom.js';
import { field, valuesOf } from './forms.js';

/** @param {import('./browser/index.js').Auth} auth which tells the page when it has worked */
export function viewSignIn(auth) {
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const form = h(
    'form',
    { class: 'card narrow', onsubmit: send },
    heading('Sign in to the console'),
    problem,
    field({
      name: 'email',
      label: 'E-mail address',
      type: 'email',
      required: true,
      autocomplete: 'username',
    }),
    field({
      ...{ name: 'password', label: 'Password', type: 'password', required: true },
      autocomplete: 'current-password',
    }),
    h('button', { class: 'main' }, 'Sign in'),
  );
  let isBusy = false;
  return [form];

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (isBusy) return;
    problem.hidden = true;
    isBusy = true;
    const { email = '', password = '' } = valuesOf(form);
    try {
      const user = await auth.signIn({ email, password });
      if (user === null) throw new Error('Confirm your e-mail address first: there is a mail for you.');
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
    } finally {
      isBusy = false;
    }
  }
}

/**
 * For somebody who is signed in, and whose roles allow nothing here.
 * @param {import('./operator.js').Operator} operator
 * @param {{ retry: () => Promise<void> }} parts
 */
export function viewNotOperator({ email }, { retry }) {
  return [
    h(
      'div',
      { class: 'card narrow' },
      heading('You are no operator'),
      h(
        'p',
        {},
        'You are signed in, but no role of yours allows anything here. The first one is granted on the machine that the server runs on:',
      ),
      h('pre', {}, h('code', {}, `doorward users grant ${email} admin`)),
      h('button', { class: 'main', onclick: retry }, 'It is granted: try again'),
    ),
  ];
}
