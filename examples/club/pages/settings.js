import { action, announce, confirmed, element, heading, sentence, when } from '../dom.js';
import { auth } from '../services.js';
import { codeField } from './codes.js';
import { field, PASSWORD_HINT, passwordField } from './fields.js';
import { form, replaceForm } from './form.js';

/** All that members can change about their account. */
export async function settings({ go }) {
  const profile = await auth.profile();
  return element(
    'div.narrow',
    {},
    heading('Your account', `Hello ${profile.display_name ?? profile.email}.`),
    profile.password_leaked ? element('p.warning', {}, LEAKED) : null,
    section('Profile', profileForm(profile)),
    section('E-mail address', ...emailParts(profile)),
    section('Password', passwordForm()),
    section('Devices', element('p', {}, element('a', { href: '/sessions' }, 'See where you are signed in'))),
    section('Your data', element('p', {}, 'A file with all that we hold on you.'), exportButton()),
    section('Leave the club', deletion(go)),
  );
}

const LEAKED = 'Your password is in a list of stolen ones. Change it here, and wherever else you use it.';

function section(title, ...children) {
  const id = `${title.toLowerCase().replaceAll(' ', '-')}-title`;
  return element('section.setting', { 'aria-labelledby': id }, element('h2', { id }, title), ...children);
}

function profileForm({ display_name }) {
  const hint = 'How the club greets you.';
  const attributes = { autocomplete: 'name', value: display_name ?? '', required: false };
  return form({
    fields: { display_name: field('display_name', 'Name', attributes, hint) },
    verb: 'Save',
    style: 'plain',
    send: async (values) => {
      await auth.updateProfile({ display_name: values.display_name.trim() || null });
      announce('Your name is saved.');
    },
  });
}

function emailParts({ email, email_verified }) {
  const button = element('button', { type: 'button' }, 'Send me a mail to confirm it');
  action(button, async () => {
    await auth.sendVerification();
    const toCode = element('a', { href: '/verify' }, 'type the code');
    replaceForm(
      button,
      element('p', {}, `A mail to ${email} is on its way. Open its link, or `, toCode, ' that is in it.'),
    );
  });
  const isConfirmed = email_verified ? 'It is confirmed.' : 'It is not confirmed yet.';
  return [element('p', {}, `${email}. ${isConfirmed}`), email_verified ? null : button, emailForm()];
}

function emailForm() {
  const fields = {
    email: field('email', 'New e-mail address', { type: 'email', autocomplete: 'off' }),
    password: currentPassword('email-password'),
  };
  const node = form({ fields, verb: 'Change the address', style: 'plain', send });
  return node;

  async function send({ email, password }) {
    await auth.changeEmail({ email, password: password || undefined });
    const text = `A mail to ${email} is on its way. Open its link in this browser, or type its code here.`;
    replaceForm(
      node,
      element('p', {}, text),
      form({ fields: { code: codeField() }, verb: 'Confirm', send: confirm }),
    );
  }

  /** The change of the state draws the page anew. */
  async function confirm({ code }) {
    const { email } = await auth.confirmEmailChange({ code });
    announce(`Your address is ${email} now.`);
  }
}

function passwordForm() {
  const attributes = { name: 'new_password', label: 'New password', autocomplete: 'new-password' };
  return form({
    fields: {
      new_password: passwordField(attributes, PASSWORD_HINT),
      current_password: currentPassword('current_password', 'current_password'),
    },
    verb: 'Change the password',
    style: 'plain',
    send: async (values) => {
      await auth.changePassword({
        currentPassword: values.current_password || undefined,
        newPassword: values.new_password,
      });
      announce('Your password is changed. All other devices are signed out.');
    },
  });
}

function currentPassword(id, name = 'password') {
  return passwordField({ id, name, label: 'Current password', autocomplete: 'current-password' });
}

function exportButton() {
  return action(element('button', { type: 'button' }, 'Download my data'), async () => {
    const text = JSON.stringify(await auth.exportData(), null, 2);
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    element('a', { href: url, download: 'club-data.json' }).click();
    // The browser has begun to read it when the timer runs.
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    announce('Your data is in the file club-data.json.');
  });
}

function deletion(go) {
  const password = currentPassword('delete-password');
  const words = {
    label: 'Delete my account',
    question: 'Delete your account, and all that belongs to it?',
    yes: 'Yes, delete it',
  };
  return confirmed(words, run, password.node);

  async function run() {
    password.complain();
    password.hide();
    try {
      const dueAt = await auth.deleteAccount({ password: password.input.value || undefined });
      await go('/');
      announce(
        dueAt
          ? `Your account is deleted on ${when(dueAt)}. A mail says how to keep it.`
          : 'Your account is deleted.',
      );
    } catch (error) {
      password.complain(sentence(error));
      password.input.focus();
    }
  }
}
