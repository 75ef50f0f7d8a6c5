import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'tap';
import { parseSmtpUrl } from '../../src/config/smtp-target.ts';
import { buildEmbedded } from '../helper.ts';
import { catchMails } from '../support/mail-catcher.ts';
import { runToEnd } from '../support/processes.ts';
import { resetMail, sendMails } from './send-mails.ts';

test('a mail that hangs does not hold up the end of the server, and goes out at the next start', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'hang';
  const { openReplica, waiting, moveTime } = await sendMails(t, {
    SMTP_URL: parseSmtpUrl(catcher.smtpUrl) ?? undefined,
  });
  const first = openReplica();
  const connected = catcher.happens('connection');
  await first.send(resetMail());
  await connected;
  await first.close();
  await first.outbox.close();
  t.match(await waiting(), [{ attempts: 1, deadAt: null }]);
  t.ok((await waiting())[0]?.lastError);

  catcher.mode = 'take';
  await moveTime(60_000);
  await openReplica().outbox.deliverDue();
  t.equal((await catcher.next('ada@example.com')).code, '7K3M-9QXD');
});

test('a server with a template that cannot be used does not start, and says why in one line', async (t) => {
  const folder = t.testdir({ data: {}, templates: { en: { 'code.txt': '{{ cod }}' } } });
  const settings = { MAIL_TEMPLATES_DIR: join(folder, 'templates'), DATA_DIR: join(folder, 'data') };
  await t.rejects(buildEmbedded(t, settings), { name: 'MailTemplateError' });
  const { code, stderr } = await runToEnd({ ...settings, PORT: '0' }, 'src/server.ts');
  t.equal(code, 1);
  t.match(stderr, /^MAIL_TEMPLATES_DIR: \S+ .*undefined variable: cod.*\n$/);
});

test('the password of the mail server is in no log', async (t) => {
  const catcher = await catchMails(t, {
    allowInsecureAuth: true,
    onAuth: (_, __, done) => done(new Error('Invalid username or password')),
  });
  const password = randomBytes(12).toString('hex');
  const url = catcher.smtpUrl.replace('smtp://', `smtp://club:${password}@`);
  const { openReplica, lines, waiting } = await sendMails(t, { SMTP_URL: parseSmtpUrl(url) ?? undefined });
  const { send, outbox } = openReplica();
  await send(resetMail());
  await outbox.deliverDue();
  t.match(await waiting(), [{ lastError: 'SMTP_535' }]);
  const said = lines
    .map(({ context, message }) => `${JSON.stringify(context)} ${context.err} ${message}`)
    .join('\n');
  t.match(said, 'look at user and password in SMTP_URL');
  t.notMatch(said, password);
  t.notMatch(said, /7K3M|ada@/);
});
