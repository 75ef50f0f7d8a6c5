import { element, heading, sentence } from '../dom.js';
import { auth } from '../services.js';

/** Sign-in with an e-mail address and a password. After that, the change of the state shows the next page. */
export function signIn({ next }) {
  return page({
    title: 'Welcome back',
    lead: 'Sign in to fill your cart.',
    verb: 'Sign in',
    passwordHint: null,
    autocomplete: 'current-password',
    submit: auth.signIn,
    other: ['No account yet?', 'Join the club', `/sign-up${next}`],
  });
}

export function signUp({ next }) {
  return page({
    title: 'Join the club',
    lead: 'All it takes is an e-mail address and a password.',
    verb: 'Join',
    passwordHint: 'At least 8 characters. A few words that do not belong together are good.',
    autocomplete: 'new-password',
    submit: auth.signUp,
    other: ['A member already?', 'Sign in', `/sign-in${next}`],
  });
}

function page({ title, lead, verb, passwordHint, autocomplete, submit, other: [question, label, href] }) {
  const email = field('email', 'E-mail address', { type: 'email', autocomplete: 'username' }, null);
  const password = field('password', 'Password', { type: 'password', autocomplete }, passwordHint);
  const summary = element('p.error', { role: 'alert' });
  const button = element('button.primary', { type: 'submit' }, verb);
  // Checked by the server: the browser's own messages disappear before slow readers have read them.
  const form = element('form', { novalidate: true }, email.node, password.node, summary, button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    summary.textContent = '';
    try {
      for (const { complain } of [email, password]) complain('');
      const user = await submit({ email: email.input.value, password: password.input.value });
      if (!user) summary.textContent = 'We have sent you a mail. Open the link in it to go on.';
    } catch (error) {
      showError(error, { email, password }, summary);
    } finally {
      button.removeAttribute('aria-disabled');
    }
  });
  return element(
    'div.narrow',
    {},
    heading(title, lead),
    form,
    element('p.aside', {}, `${question} `, element('a', { href }, label)),
  );
}

function field(name, label, attributes, hint) {
  const input = element('input', { id: name, name, required: true, ...attributes });
  const error = element('p.error', { id: `${name}-error` });
  const described = [hint ? `${name}-hint` : '', `${name}-error`].filter(Boolean).join(' ');
  input.setAttribute('aria-describedby', described);
  return {
    input,
    node: element(
      'div.field',
      {},
      element('label', { for: name }, label),
      hint ? element('p.hint', { id: `${name}-hint` }, hint) : null,
      input,
      error,
    ),
    complain(text) {
      error.textContent = text;
      if (text) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    },
  };
}

/** Shows errors of a field at that field, and moves the focus to the first of them. */
function showError(error, fields, summary) {
  const wrong = (error.errors ?? []).filter(({ path }) => path.slice(1) in fields);
  for (const { path, message } of wrong) fields[path.slice(1)].complain(message);
  summary.textContent = wrong.length === 0 ? sentence(error) : 'Have a look at what is marked, please.';
  const first = wrong[0]?.path.slice(1) ?? 'email';
  fields[first].input.focus();
}
