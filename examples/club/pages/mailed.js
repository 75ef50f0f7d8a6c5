import { announce, element, heading } from '../dom.js';
import { auth } from '../services.js';
import { codeFields, forgetCode, forgetWrongCode, passCode } from './codes.js';
import { forgetEmail, passwordField } from './fields.js';
import { form, replaceForm } from './form.js';

/**
 * A page that a mail leads to. Opening it changes nothing, because mail scanners open links too: only the button does.
 * @param {(code: object, node: HTMLFormElement) => Promise<unknown>} act gets the code as the server takes it
 * @param {(error: Error, code: object, node: HTMLFormElement) => boolean} explain whether it has told the user
 */
function mailed({ title, lead, verb, style, act, explain = forgetWrongCode, asksEmail = true }) {
  const { fields, codeOf } = codeFields({ asksEmail });
  let code = null;
  const node = form({
    fields,
    verb,
    style,
    send: (values) => {
      code = codeOf(values);
      return act(code, node);
    },
    explain: (error) => explain(error, code, node),
  });
  return element('div.narrow', {}, heading(title, lead), node);
}

/** Shows that an address is the user's. In another browser than the one that signed up it takes the password too. */
export function verify({ go }) {
  return mailed({
    title: 'Confirm your address',
    lead: 'Then we know that our mails reach you.',
    verb: 'Confirm the address',
    act: (code) => auth.verifyEmail(code).then(done),
    explain: (error, code, node) => {
      if (error.code !== 'password_required') return forgetWrongCode(error);
      replaceForm(node, ...askPassword(code));
      return true;
    },
  });

  function askPassword(code) {
    const fields = { password: passwordField({ autocomplete: 'current-password' }) };
    const send = ({ password }) => auth.verifyEmail({ ...code, password }).then(done);
    const notMe = element('a', { href: '/reset' }, 'Set a password of your own');
    notMe.addEventListener('click', () => passCode('/reset', code));
    return [
      element('p', {}, 'You joined in another browser. Enter the password that you chose there.'),
      form({ fields, verb: 'Confirm the address', send }),
      element('p.aside', {}, 'It was not you who joined with this address? ', notMe),
    ];
  }

  async function done() {
    forgetCode();
    forgetEmail();
    await go('/');
    announce('Your address is confirmed, and you are signed in.');
  }
}

export function confirmEmail({ go }) {
  return mailed({
    title: 'Your new address',
    lead: 'With it you sign in from now on. All your other devices are signed out.',
    verb: 'Use the new address',
    asksEmail: false,
    act: async (code) => {
      const { email } = await auth.confirmEmailChange(code);
      forgetCode();
      await go('/account');
      announce(`Your address is ${email} now.`);
    },
  });
}

export function undoEmail() {
  return mailed({
    title: 'Take your address back',
    lead: 'Somebody gave your account another address. If that was not you, take the old one back.',
    verb: 'Take it back',
    act: async (code, node) => {
      await auth.undoEmailChange(code);
      forgetCode();
      const text = 'Your old address is back, and every device is signed out. We have sent you a mail: ';
      const toReset = element('a', { href: '/reset' }, 'set a new password');
      replaceForm(node, element('p', {}, text, toReset, ' with it.'));
    },
  });
}

/** The same code ends the session and sets a new password. */
export function notMe({ go }) {
  return mailed({
    title: 'This was not me',
    lead: 'Sign that device out, and set a new password, which nobody else knows.',
    verb: 'Sign that device out',
    style: 'danger',
    act: async (code) => {
      await auth.disownSession(code);
      passCode('/reset', code);
      await go('/reset');
      announce('That device is signed out. Set a new password now.');
    },
  });
}

export function undoDeletion() {
  return mailed({
    title: 'Keep your account',
    lead: 'Your account was to be deleted. You can still keep it.',
    verb: 'Keep it',
    act: async (code, node) => {
      await auth.undoDeletion(code);
      forgetCode();
      const toSignIn = element('a', { href: '/sign-in' }, 'Sign in');
      replaceForm(node, element('p', {}, 'Your account stays. ', toSignIn));
    },
  });
}
