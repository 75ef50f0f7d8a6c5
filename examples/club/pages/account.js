import { countWanted } from '../basket.js';
import { element, heading, plural, sentence } from '../dom.js';
import { auth } from '../services.js';
import { errorsOf, field, passwordField } from './fields.js';

/** The address stays when the user changes between the two pages. In memory: a URL would end up in logs. */
let typed = '';

/** Sign-in with an e-mail address and a password. After that, the change of the state shows the next page. */
export function signIn({ next }) {
  return page({
    title: 'Welcome back',
    lead: lead('Sign in to fill your cart.'),
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
    lead: lead('All it takes is an e-mail address and a password.'),
    verb: 'Join',
    passwordHint: 'At least 8 characters. A few words that do not belong together are good.',
    autocomplete: 'new-password',
    submit: auth.signUp,
    other: ['A member already?', 'Sign in', `/sign-in${next}`],
  });
}

/** What the guest has chosen is a better reason than any other one. */
function lead(usual) {
  const count = countWanted();
  return count === 0 ? usual : `You find your ${plural(count, 'item')} in the cart after that.`;
}

function page({ title, lead, verb, passwordHint, autocomplete, submit, other: [question, label, href] }) {
  const email = field('email', 'E-mail address', { type: 'email', autocomplete: 'username', value: typed });
  const password = passwordField({ autocomplete }, passwordHint);
  const fields = { email, password };
  const button = element('button.primary', { type: 'submit' }, verb);
  // Checked by the server: the browser's own messages disappear before slow readers have read them.
  const form = element('form', { novalidate: true }, email.node, password.node, button);
  email.input.addEventListener('input', () => {
    typed = email.input.value;
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    for (const { complain } of [email, password]) complain();
    password.hide();
    try {
      const user = await submit({ email: email.input.value, password: password.input.value });
      typed = '';
      if (!user)
        form.replaceWith(element('p', { role: 'status' }, 'We have sent you a mail. Open the link in it.'));
    } catch (error) {
      showError(error, fields, href);
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

/** Shows each error in one place: at its field. What belongs to no field is shown at the password, the last one. */
function showError(error, fields, otherPage) {
  if (error.code === 'email_taken') {
    const link = element('a', { href: otherPage }, 'Sign in with this address');
    fields.email.complain(sentence(error), ' ', link);
    return fields.email.input.focus();
  }
  const wrong = errorsOf(error, fields);
  for (const [name, message] of wrong) fields[name].complain(message);
  if (wrong.length === 0) fields.password.complain(sentence(error));
  const { input } = fields[wrong[0]?.[0] ?? 'password'];
  input.focus();
  input.select();
}
