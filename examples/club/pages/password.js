import { announce, element, heading } from '../dom.js';
import { auth } from '../services.js';
import { codeFields, forgetCode, forgetWrongCode } from './codes.js';
import { emailField, forgetEmail, PASSWORD_HINT, passwordField } from './fields.js';
import { form, replaceForm } from './form.js';

/** Asks for a mail. It says the same for every address, so that nobody learns who is a member. */
export function forgot() {
  const node = form({ fields: { email: emailField() }, verb: 'Send me a mail', send });
  return element(
    'div.narrow',
    {},
    heading('Forgot your password?', 'We send you a mail with which you set a new one.'),
    node,
    element('p.aside', {}, element('a', { href: '/sign-in' }, 'Back to the sign-in')),
  );

  async function send({ email }) {
    await auth.requestReset(email);
    const text = `If ${email} belongs to a member, a mail is on its way. Open its link, or `;
    const toCode = element('a', { href: '/reset' }, 'type the code');
    replaceForm(node, element('p', {}, text, toCode, ' that is in it.'));
  }
}

/** A new password, with the code of a mail. It signs in here, and out everywhere else. */
export function reset({ go }) {
  const { fields, codeOf } = codeFields();
  const password = passwordField({ label: 'New password', autocomplete: 'new-password' }, PASSWORD_HINT);
  return element(
    'div.narrow',
    {},
    heading('Set a new password', 'After that you are signed in here, and signed out everywhere else.'),
    form({ fields: { ...fields, password }, verb: 'Set the password', send, explain: forgetWrongCode }),
    element('p.aside', {}, 'The code does not work? ', element('a', { href: '/forgot' }, 'Get another mail')),
  );

  async function send(values) {
    await auth.resetPassword({ ...codeOf(values), password: values.password });
    forgetCode();
    forgetEmail();
    await go('/');
    announce('Your new password is set, and you are signed in.');
  }
}
