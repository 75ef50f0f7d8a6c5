import { countWanted } from '../basket.js';
import { action, announce, element, heading, plural, sentence } from '../dom.js';
import { auth } from '../services.js';
import { emailField, forgetEmail, PASSWORD_HINT, passwordField } from './fields.js';
import { form, replaceForm } from './form.js';

/** Sign-in with an e-mail address and a password. After that, the change of the state shows the next page. */
export function signIn({ next }) {
  return page({
    title: 'Welcome back',
    lead: lead('Sign in to fill your cart.'),
    verb: 'Sign in',
    passwordHint: null,
    autocomplete: 'current-password',
    submit: auth.signIn,
    aside: [
      link('Forgot your password?', '/forgot'),
      element('br', {}),
      'No account yet? ',
      link('Join the club', `/sign-up${next}`),
    ],
  });
}

export function signUp({ next }) {
  return page({
    title: 'Join the club',
    lead: lead('All it takes is an e-mail address and a password.'),
    verb: 'Join',
    passwordHint: PASSWORD_HINT,
    autocomplete: 'new-password',
    submit: auth.signUp,
    signInPage: `/sign-in${next}`,
    aside: ['A member already? ', link('Sign in', `/sign-in${next}`)],
  });
}

/** What the guest has chosen is a better reason than any other one. */
function lead(usual) {
  const count = countWanted();
  return count === 0 ? usual : `You find your ${plural(count, 'item')} in the cart after that.`;
}

function link(text, href) {
  return element('a', { href }, text);
}

function page({ title, lead, verb, passwordHint, autocomplete, submit, signInPage, aside }) {
  const email = emailField();
  const fields = { email, password: passwordField({ autocomplete }, passwordHint) };
  const node = form({ fields, verb, send, explain });
  return element('div.narrow', {}, heading(title, lead), node, element('p.aside', {}, ...aside));

  async function send(credentials) {
    const user = await submit(credentials);
    if (user) forgetEmail();
    else replaceForm(node, ...mailIsSent(credentials.email));
  }

  function explain(error) {
    if (error.code !== 'email_taken') return false;
    email.complain(sentence(error), ' ', link('Sign in with this address', signInPage));
    email.input.focus();
    return true;
  }
}

/** The same for every address, so that nobody learns who is a member. */
function mailIsSent(email) {
  const again = element('button', { type: 'button' }, 'Send another mail');
  return [
    element(
      'p',
      {},
      `We have sent a mail to ${email}. Open its link in this browser, or `,
      link('type the code', '/verify'),
      ' that is in it.',
    ),
    action(again, async () => {
      await auth.sendVerification(email);
      announce('Another mail is on its way.');
    }),
  ];
}
