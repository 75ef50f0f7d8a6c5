import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'tap';
import { parseSmtpUrl } from '../../src/config/smtp-target.ts';
import { tryLock } from '../../src/db/locks.ts';
import { sweepAll } from '../../src/db/sweep.ts';
import { catchMails } from '../support/mail-catcher.ts';
import { MINUTE_MS, resetMail, sendMails } from './send-mails.ts';

const SMTP = (url: string) => ({ SMTP_URL: parseSmtpUrl(url) ?? undefined });

test('sends a mail once the transaction that wrote it has been committed', async (t) => {
  const catcher = await catchMails(t);
  const { openReplica, waiting } = await sendMails(t, SMTP(catcher.smtpUrl));
  const { send, outbox } = openReplica({
    PUBLIC_APP_URL: 'https://club.example',
    MAIL_FROM: 'Club <club@club.example>',
  });
  const mail = resetMail();
  await send(mail);
  const caught = await catcher.next(mail.to);
  await outbox.deliverDue();

  t.match(caught, {
    from: 'club@club.example',
    to: [mail.to],
    code: mail.data.code,
    linkCode: mail.data.link,
  });
  t.equal(caught.link, `https://club.example/reset#code=${mail.data.link}`);
  t.match(caught.raw, /^From: Club <club@club\.example>\r$/m);
  t.match(caught.raw, /^To: ada@example\.com\r$/m);
  t.match(caught.raw, /^Auto-Submitted: auto-generated\r$/m);
  t.match(caught.html, `href="${caught.link}"`);
  t.same(await waiting(), []);
});

test('sends nothing of a transaction that was rolled back', async (t) => {
  const catcher = await catchMails(t);
  const { openReplica, transact } = await sendMails(t, SMTP(catcher.smtpUrl));
  const { service, outbox, send } = openReplica();
  await t.rejects(
    transact(async (transaction) => {
      await service.send(transaction, resetMail({ to: 'lost@example.com' }));
      throw new Error('rolled back');
    }),
  );
  await send(resetMail());
  await catcher.next('ada@example.com');
  await outbox.deliverDue();
  t.equal(catcher.all.length, 1);
});

test('keeps address, code and link of a waiting mail from whoever reads the database', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'later';
  const { openReplica, waiting } = await sendMails(t, SMTP(catcher.smtpUrl));
  const mail = resetMail();
  await openReplica().send(mail);
  const [row] = await waiting();
  const stored = JSON.stringify(row);
  t.match(stored, mail.userId);
  for (const secret of [mail.to, mail.data.code, mail.data.link, 'reset_password'])
    t.notMatch(stored, String(secret));
});

test('opens a mail that was sealed with the key before, and gives up on one of another deployment', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'later';
  const { openReplica, waiting, keyEncryptionKey, moveTime } = await sendMails(t, SMTP(catcher.smtpUrl));
  const before = openReplica();
  await before.send(resetMail());
  await before.outbox.deliverDue();
  await before.close();
  catcher.mode = 'take';

  await moveTime(MINUTE_MS);
  await openReplica({ KEY_ENCRYPTION_KEY_PREVIOUS: keyEncryptionKey }, randomBytes(32)).outbox.deliverDue();
  t.equal((await catcher.next('ada@example.com')).code, '7K3M-9QXD');

  catcher.mode = 'later';
  const stranger = openReplica({}, randomBytes(32));
  await stranger.send(resetMail());
  await stranger.outbox.deliverDue();
  await stranger.close();
  await moveTime(MINUTE_MS);
  await openReplica({}, randomBytes(32)).outbox.deliverDue();
  t.match(await waiting(), [{ lastError: 'SealedWithAnotherKey', attempts: 2 }]);
  t.equal((await waiting())[0]?.deadAt, null, 'another replica may have the key');
});

test('does not send a code after its time', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'later';
  const { openReplica, waiting, moveTime } = await sendMails(t, SMTP(catcher.smtpUrl));
  const { send, outbox } = openReplica();
  await send(resetMail());
  await outbox.deliverDue();
  catcher.mode = 'take';
  await moveTime(10 * MINUTE_MS);
  await outbox.deliverDue();
  t.match(await waiting(), [{ lastError: 'TooLate' }]);
  t.equal(catcher.all.length, 0);
});

test('a mail without a code goes out however late', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'later';
  const { openReplica, waiting, moveTime } = await sendMails(t, SMTP(catcher.smtpUrl));
  const { send, outbox } = openReplica();
  const about = { userId: randomUUID(), to: 'ada@example.com', locale: 'de' };
  await send({ ...about, template: 'account_deleted', data: {} });
  const deed = { at: new Date(), ip: null, userAgent: null, goodForMs: MINUTE_MS, link: null, code: null };
  await send({ ...about, template: 'password_changed', data: deed });
  await outbox.deliverDue();
  catcher.mode = 'take';
  await moveTime(60 * MINUTE_MS);
  await outbox.deliverDue();
  t.same(await waiting(), []);
  t.same(catcher.all.map(({ subject }) => subject).sort(), [
    'Ihr Konto wurde gelöscht',
    'Ihr Passwort wurde geändert',
  ]);
});

test('a mail that was given up is kept for a month', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'never';
  const { openReplica, waiting, moveTime, transact } = await sendMails(t, SMTP(catcher.smtpUrl));
  const { send, outbox, sweeps } = openReplica();
  const sweepAllOf = () => sweepAll(sweeps, transact);
  await send(resetMail());
  await outbox.deliverDue();
  await moveTime(29 * 24 * 60 * MINUTE_MS);
  await sweepAllOf();
  t.match(await waiting(), [{ lastError: 'SMTP_550', attempts: 1 }]);
  await moveTime(2 * 24 * 60 * MINUTE_MS);
  await transact(async (other) => {
    await tryLock(other, 'sweepDeadMails');
    await sweepAllOf();
  });
  t.equal((await waiting()).length, 1, 'one replica sweeps at a time');
  await sweepAllOf();
  t.same(await waiting(), []);
});

test('takes back what waits for a user, and nothing of others', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'later';
  const { openReplica, waiting, transact } = await sendMails(t, SMTP(catcher.smtpUrl));
  const { service, send, outbox } = openReplica();
  const [gone, stays] = [randomUUID(), randomUUID()];
  await send(resetMail({ userId: gone }));
  await send(resetMail({ userId: stays }));
  await outbox.deliverDue();
  await transact((transaction) => service.withdraw(transaction, gone));
  t.match(await waiting(), [{ payload: { userId: stays } }]);
});

test('writes nothing without a mail server, and lets what was written before wait for one', async (t) => {
  const catcher = await catchMails(t);
  catcher.mode = 'later';
  const { openReplica, waiting, lines, moveTime } = await sendMails(t);
  const on = openReplica(SMTP(catcher.smtpUrl));
  await on.send(resetMail());
  await on.outbox.deliverDue();
  await on.close();

  const off = openReplica();
  await moveTime(MINUTE_MS);
  await off.outbox.deliverDue();
  t.match(await waiting(), [{ attempts: 2, deadAt: null }]);
  await off.close();
  t.equal(off.service.isOn, false);
  t.equal(on.service.isOn, true);
  await off.send(resetMail());
  t.equal((await waiting()).length, 1);
  t.equal(
    lines.some(({ level }) => level === 'error'),
    false,
  );
});

test('refuses an address that is not one plain mailbox', async (t) => {
  const { openReplica, waiting } = await sendMails(t, SMTP('smtp://127.0.0.1:1'));
  const { send } = openReplica();
  for (const to of [
    '',
    'ada',
    'a@b@example.com',
    'Ada <ada@example.com>',
    'a@example.com, b@example.com',
    'a\r\nBcc: b@example.com',
  ])
    await t.rejects(send(resetMail({ to })), TypeError);
  t.same(await waiting(), []);
});
