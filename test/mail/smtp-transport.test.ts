import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { SMTPServerOptions } from 'smtp-server';
import { type Test, test } from 'tap';
import type { SmtpTarget } from '../../src/config/smtp-target.ts';
import { createSmtpTransport } from '../../src/mail/smtp-transport.ts';
import { Undeliverable } from '../../src/outbox/outbox-rules.ts';
import { makeCertificates } from '../support/certificates.ts';
import { catchMails } from '../support/mail-catcher.ts';

const from = { name: 'Club', address: 'club@club.example' };
const never = new AbortController().signal;
/** Long enough for a busy machine to answer, and short enough for a test to wait. */
const QUICK = { connectMs: 2_000, greetMs: 400, answerMs: 400 };

const mailTo = (to: string, id = 'one') => ({
  id,
  to,
  subject: 'Hello',
  text: 'Hello\n',
  html: '<p>Hello</p>',
});

/** A server, and a transport to it that is closed when the test ends. */
async function connected(t: Test, target: Partial<SmtpTarget> = {}, options: SMTPServerOptions = {}) {
  const catcher = await catchMails(t, options);
  const whole = { host: 'localhost', port: catcher.port, encryption: 'none' as const, credentials: null };
  const transport = createSmtpTransport({ ...whole, ...target }, from, 2, QUICK);
  t.teardown(transport.close);
  return { catcher, transport };
}

/** What an attempt fails with. */
async function failureOf(attempt: Promise<void>): Promise<Error & { code?: string }> {
  return attempt.then(
    () => new Error('it was sent'),
    (error: Error) => error,
  );
}

test('many mails go over few connections that stay open, each to its one recipient', async (t) => {
  const { catcher, transport } = await connected(t);
  const addresses = Array.from({ length: 20 }, (_, n) => `user${n}@example.com`);
  await Promise.all(addresses.map((to, n) => transport.send(mailTo(to, `mail-${n}`), never)));
  t.strictSame(catcher.all.map(({ to }) => to).sort(), addresses.map((to) => [to]).sort());
  t.ok(catcher.connections <= 2);
  for (const [n, to] of addresses.entries())
    t.equal((await catcher.next(to)).messageId, `<mail-${n}@club.example>`);
});

test('what looks like a file or a URL in a mail stays a text', async (t) => {
  const { catcher, transport } = await connected(t);
  const content = { subject: '/etc/passwd', text: '/etc/passwd', html: 'file:///etc/passwd' };
  await transport.send({ ...mailTo('ada@example.com'), ...content }, never);
  const mail = await catcher.next('ada@example.com');
  t.match(mail, { subject: '/etc/passwd', text: '/etc/passwd', html: /^file:\/\/\/etc\/passwd/ });
});

test('a server that does not answer, and one that never greets, cost an attempt and no more', async (t) => {
  const { catcher, transport } = await connected(t);
  catcher.mode = 'hang';
  t.match(await failureOf(transport.send(mailTo('a@example.com'), never)), {
    name: 'SmtpFailure',
    code: 'ETIMEDOUT',
  });
  catcher.mode = 'take';
  await transport.send(mailTo('b@example.com'), never);

  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  const target = { host: '127.0.0.1', port, encryption: 'none' as const, credentials: null };
  const toMute = createSmtpTransport(target, from, 1, QUICK);
  t.match(await failureOf(toMute.send(mailTo('a@example.com'), never)), { code: 'ETIMEDOUT' });
  toMute.close();
});

test('a server that drops the connection gets the mail at the next attempt', async (t) => {
  const { catcher, transport } = await connected(t);
  catcher.mode = 'drop';
  t.match(await failureOf(transport.send(mailTo('a@example.com'), never)), { name: 'SmtpFailure' });
  t.equal(catcher.commands, 1, 'the transport does not try again by itself');
  catcher.mode = 'take';
  await transport.send(mailTo('a@example.com'), never);
  t.equal(catcher.all.length, 1);
});

test('no server at all is a failure that says so', async (t) => {
  const { catcher, transport } = await connected(t);
  await catcher.close();
  t.match(await failureOf(transport.send(mailTo('a@example.com'), never)), {
    name: 'SmtpFailure',
    message: /ECONNREFUSED/,
  });
});

test('a refusal for now is tried again, one for ever is not, and neither quotes the address', async (t) => {
  const { catcher, transport } = await connected(t);
  catcher.mode = 'later';
  const later = await failureOf(transport.send(mailTo('ada@example.com'), never));
  t.match(later, { name: 'SmtpFailure', code: 'SMTP_450' });
  t.match(later.message, /^the mail server answered 450 4\.2\.0 to RCPT TO$/);
  catcher.mode = 'never';
  const refused = await failureOf(transport.send(mailTo('ada@example.com'), never));
  t.ok(refused instanceof Undeliverable);
  t.match(refused, { code: 'SMTP_550', message: 'the mail server answered 550 5.1.1 to RCPT TO' });
  t.notMatch(refused.stack, 'ada@');
});

test('a refusal of the sender or of our right to send is about the settings, so the mail is tried again', async (t) => {
  const refuse = (responseCode: number) => ({
    onMailFrom: (_: object, __: object, done: (error: Error) => void) =>
      done(Object.assign(new Error('no'), { responseCode })),
  });
  const sender = await connected(t, {}, refuse(553));
  t.match(await failureOf(sender.transport.send(mailTo('a@example.com'), never)), {
    name: 'SmtpFailure',
    code: 'SMTP_553',
  });
  const atRecipient = await connected(
    t,
    {},
    {
      onRcptTo: (_, __, done) => done(Object.assign(new Error('sign in first'), { responseCode: 530 })),
    },
  );
  t.match(await failureOf(atRecipient.transport.send(mailTo('a@example.com'), never)), {
    name: 'SmtpFailure',
    code: 'SMTP_530',
  });
});

test('nothing is sent in clear where STARTTLS is required: not the mail, and not the password', async (t) => {
  const said: string[] = [];
  const credentials = { user: 'club', password: randomBytes(12).toString('hex') };
  const { catcher, transport } = await connected(
    t,
    { encryption: 'starttls', credentials },
    {
      onAuth: ({ password }, _, done) => {
        said.push(String(password));
        done(null, { user: 'club' });
      },
    },
  );
  const failure = await failureOf(transport.send(mailTo('a@example.com'), never));
  t.match(failure, { name: 'SmtpFailure', message: /to STARTTLS: it offers no encryption there/ });
  t.strictSame([catcher.all, said], [[], []]);
});

test('with STARTTLS, and with TLS from the start, the certificate must be trusted and of that name', async (t) => {
  const folder = t.testdir({ good: {}, other: {} });
  const good = await makeCertificates(join(folder, 'good'), 'DNS:localhost');
  const other = await makeCertificates(join(folder, 'other'), 'DNS:elsewhere.example');
  const before = getCACertificates('default');
  for (const [encryption, secure] of [
    ['starttls', false],
    ['tls', true],
  ] as const) {
    const server = (made: typeof good) => ({
      ...{ secure, cert: made.certificate, key: made.key },
      disabledCommands: [],
    });
    const send = async (made: typeof good) => {
      const { catcher, transport } = await connected(t, { encryption }, server(made));
      return [await failureOf(transport.send(mailTo('a@example.com'), never)), catcher.all.length] as const;
    };
    setDefaultCACertificates(before);
    t.match(
      await send(good),
      [{ name: 'SmtpFailure' }, 0],
      `${encryption}: of an authority that is not known`,
    );
    setDefaultCACertificates([
      ...before,
      readFileSync(good.caFile, 'utf8'),
      readFileSync(other.caFile, 'utf8'),
    ]);
    t.match(await send(other), [{ message: /elsewhere\.example/ }, 0], `${encryption}: of another name`);
    t.match(await send(good), [{ message: 'it was sent' }, 1], `${encryption}: a good one`);
  }
  setDefaultCACertificates(before);
});

test('a wrong password names the setting and not the password', async (t) => {
  const credentials = { user: 'club', password: randomBytes(12).toString('hex') };
  const { transport } = await connected(
    t,
    { credentials },
    {
      allowInsecureAuth: true,
      onAuth: (_, __, done) => done(new Error('Invalid username or password')),
    },
  );
  const failure = await failureOf(transport.send(mailTo('a@example.com'), never));
  t.match(failure, { name: 'SmtpFailure', code: 'SMTP_535' });
  t.match(
    failure.message,
    /^the mail server answered 535 .*to AUTH PLAIN: look at user and password in SMTP_URL$/,
  );
  t.notMatch(failure.message + failure.stack, credentials.password);
});

test('an attempt that was aborted sends nothing later', async (t) => {
  const { catcher, transport } = await connected(t);
  catcher.mode = 'hang';
  const controller = new AbortController();
  const attempt = failureOf(transport.send(mailTo('a@example.com'), controller.signal));
  await catcher.happens('connection');
  controller.abort(new Error('too late'));
  t.match(await attempt, { name: 'SmtpFailure' });
  catcher.mode = 'take';
  await transport.send(mailTo('b@example.com'), never);
  t.strictSame(
    catcher.all.map(({ to }) => to),
    [['b@example.com']],
  );
});

test('closing ends what is under way, and nothing keeps the process', async (t) => {
  const { catcher, transport } = await connected(t);
  catcher.mode = 'hang';
  const attempt = failureOf(transport.send(mailTo('a@example.com'), never));
  await catcher.happens('connection');
  transport.close();
  t.match(await attempt, { name: 'SmtpFailure' });
  t.match(await failureOf(transport.send(mailTo('a@example.com'), never)), { message: /closed/ });
});
