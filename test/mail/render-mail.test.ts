import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import type { FactsInMail } from '../../src/mail/mail-facts.ts';
import { MailTemplateError } from '../../src/mail/mail-template-error.ts';
import { createRender } from '../../src/mail/render-mail.ts';
import { AT, MAILS, mailOf, STYLES, TEMPLATES } from './all-mails.ts';

const config = loadConfig({ PUBLIC_URL: 'https://club.example/auth', PATH_PREFIX: '/auth' });
const render = createRender(config);
const WRITTEN_AT = Date.parse(AT);

for (const locale of ['en', 'de']) {
  for (const template of TEMPLATES) {
    test(`${template} in ${locale} carries the code as it was made: as a link, for typing, both, or neither`, (t) => {
      for (const style of STYLES) {
        const facts = mailOf(template, style, { locale });
        const { link, code } = facts.data;
        const { subject, text, html } = render(facts, WRITTEN_AT);
        const url = `https://club.example/auth/ui/${MAILS[template].page}#code=${link}`;
        t.equal(text.includes(url), Boolean(link), `${style}: the link in the text`);
        t.equal(html.includes(`href="${url}"`), Boolean(link), `${style}: the link in the HTML`);
        t.equal(/^ {4}7K3M-9QXD$/m.test(text), Boolean(code), `${style}: the code in the text`);
        t.equal(html.includes('>7K3M-9QXD<'), Boolean(code), `${style}: the code in the HTML`);
        t.match(html, `<html lang="${locale}">`);
        t.match(html, `<title>${subject}</title>`);
        t.notMatch(subject, /7K3M|[{}%]/, 'no code in what a locked phone shows');
        t.notMatch(`${text}${html}`, /\{\{|\{%|%\}|undefined|null|NaN|Invalid/);
        t.notMatch(text, /\n{4}|<\w|&\w+;/, 'plain text, without holes');
        t.notMatch(html, /<script|<img|<link|url\(|src=|\son\w+=/i, 'nothing that loads or runs');
      }
      t.end();
    });
  }
}

test('says when, from where and with what, and how long a code is good', (t) => {
  const english = render(mailOf('new_device'), WRITTEN_AT);
  t.match(english.text, 'When: November 26, 2026 at 20:38 UTC');
  t.match(english.text, 'Device: Firefox on Linux');
  t.match(english.text, 'Network address: 192.0.2.7');
  t.match(english.text, 'This works for 7 days, until December 3, 2026 at 20:38 UTC.');
  const german = render(mailOf('reset_password', 'both', { locale: 'de-AT' }), WRITTEN_AT);
  t.match(german.text, 'Das gilt 10 Minuten lang, bis 26. November 2026 um 20:48 UTC.');
  t.match(render(mailOf('verify_email'), WRITTEN_AT).text, 'for 24 hours, until November 27');
  t.match(render(mailOf('deletion_asked'), WRITTEN_AT).subject, 'on November 26, 2026 at 20:38 UTC');
  t.match(render(mailOf('email_changed'), WRITTEN_AT).html, 'new@example.com');
  t.end();
});

test('a device that says nothing, or an address that is none, is unknown', (t) => {
  const data = { ...mailOf('new_device').data, ip: 'see evil.example', userAgent: null };
  const { text } = render(mailOf('new_device', 'both', { data }), WRITTEN_AT);
  t.match(text, 'Device: unknown device');
  t.match(text, 'Network address: unknown');
  const half = { ...data, ip: null, userAgent: 'Mozilla/5.0 (Windows NT 10.0) Gecko' };
  t.match(render(mailOf('new_device', 'both', { data: half }), WRITTEN_AT).text, 'Device: Windows');
  const other = { ...data, userAgent: 'Firefox/1.0' };
  t.match(render(mailOf('new_device', 'both', { data: other }), WRITTEN_AT).text, 'Device: Firefox\n');
  t.end();
});

test('links lead to the pages of the app when it has its own', (t) => {
  const own = createRender({ ...config, PUBLIC_APP_URL: 'https://app.example/account' });
  const { text } = own(mailOf('verify_email'), WRITTEN_AT);
  t.match(text, 'https://app.example/account/verify#code=');
  t.match(text, 'an account at app.example');
  t.end();
});

/** What somebody could try to bring into a mail. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '\r\nBcc: eve@evil.example',
    '</p><script>alert(1)</script>',
    '" onclick="x',
    "{{ 'x' }}",
    '\u2028x',
    '&lt;',
  ),
);

test('nothing that a user or a client chose ends a line of the subject or becomes HTML', (t) => {
  const plain = render(mailOf('email_changed', 'none'), WRITTEN_AT);
  const tagsOf = (html: string) => html.match(/<[^>]*>/g) ?? [];
  fc.assert(
    fc.property(hostile, hostile, hostile, hostile, (newEmail, ip, userAgent, locale) => {
      const data: FactsInMail = { at: AT, newEmail, ip, userAgent };
      const { subject, text, html } = render(
        { ...mailOf('email_changed', 'none'), locale, data },
        WRITTEN_AT,
      );
      if (/[\p{C}\p{Zl}\p{Zp}]/u.test(subject)) return false;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
      if (/[\u0000-\u0009\u000b-\u001f\u007f\u2028\u2029]/.test(text)) return false;
      return tagsOf(html).length === tagsOf(plain.html).length;
    }),
    { numRuns: 2_000 },
  );
  const attack = { at: AT, newEmail: '<b>{{ site }}</b>\r\n\r\nBcc: x' };
  const { html, text } = render(mailOf('email_changed', 'none', { data: attack }), WRITTEN_AT);
  t.match(html, '&lt;b&gt;{{ site }}&lt;/b&gt;Bcc: x');
  t.match(text, '<b>{{ site }}</b>Bcc: x');
  t.end();
});

/** A folder of own templates. */
function ownFolder(t: Test, files: Record<string, string>): string {
  const folder = t.testdir({});
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const renderWith = (folder: string) => createRender({ ...config, MAIL_TEMPLATES_DIR: folder });

test('own templates replace those of the server file by file, the layout included', (t) => {
  const folder = ownFolder(t, {
    'en/reset_password.txt': 'Subject: Club: new password\r\n\r\nHi {{ email }}: {{ link }}\r\n',
    'layout.html':
      '<html><body><h1>The club</h1>{% block body %}{% endblock %}{% block foot %}{% endblock %}</body></html>',
    'notes.md': 'not a template',
  });
  const own = renderWith(folder);
  const facts = mailOf('reset_password');
  const { subject, text, html } = own(facts, WRITTEN_AT);
  t.equal(subject, 'Club: new password');
  t.equal(text, `Hi ada@example.com: https://club.example/auth/ui/reset#code=${facts.data.link}\n`);
  t.match(html, /^<html><body><h1>The club<\/h1>/);
  t.match(own(mailOf('reset_password', 'both', { locale: 'de' }), WRITTEN_AT).subject, 'Neues Passwort');
  t.end();
});

test('a folder may bring a language of its own, which then needs all its files', (t) => {
  const names = [...TEMPLATES, 'code', 'deed', 'foot'];
  const files = names.flatMap((name) => [
    [`fr/${name}.txt`, 'Subject: Bonjour\n\nBonjour {{ when }}\n'],
    [`fr/${name}.html`, '<p>Bonjour</p>'],
  ]);
  const folder = ownFolder(t, Object.fromEntries(files));
  const own = renderWith(folder);
  t.match(
    own(mailOf('new_device', 'both', { locale: 'fr-CA, en;q=0.5' }), WRITTEN_AT).text,
    'Bonjour 26 novembre 2026',
  );
  const half = ownFolder(t, { 'fr/code.txt': 'x' });
  t.throws(() => renderWith(half), { message: /MAIL_TEMPLATES_DIR: .*fr\/verify_email\.txt is missing/ });
  t.end();
});

test('a template that cannot be used ends the start with one line that names it', (t) => {
  const broken: [path: string, text: string, says: RegExp][] = [
    ['en/reset_password.txt', 'no subject', /en\/reset_password must begin with a line "Subject: …"/],
    ['en/reset_password.txt', 'Subject: x\n\n{{ linkk }}', /undefined variable: linkk/],
    ['en/reset_password.txt', 'Subject: x\n\n{% if link %}', /tag "if" not closed|not closed/],
    ['en/reset_password.html', '{{ link | shout }}', /undefined filter: shout/],
    ['en/reset_password.html', "{% include 'en/nothing.html' %}", /nothing\.html/],
    ['en/reset_pasword.html', 'x', /reset_pasword\.html is no template of this server/],
    ['reset.html', 'x', /reset\.html is no template of this server/],
    ['en/code.txt', '{{ nothing }}', /undefined variable: nothing/],
  ];
  for (const [path, text, says] of broken) {
    const folder = ownFolder(t, { [path]: text });
    t.throws(() => renderWith(folder), new MailTemplateError(''), path);
    t.throws(() => renderWith(folder), { message: says });
    t.throws(() => renderWith(folder), { message: /^MAIL_TEMPLATES_DIR: [^\n]+$/ });
  }
  t.throws(() => renderWith(join(t.testdirName, 'missing')), {
    message: /^MAIL_TEMPLATES_DIR: there is no template in .*missing$/,
  });
  t.end();
});
