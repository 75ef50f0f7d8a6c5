import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import PostalMime from 'postal-mime';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

type Teardown = { teardown(undo: () => unknown): void };

/** A mail as the server got it. */
export type CaughtMail = {
  /** Of the envelope, which alone decides where a mail goes. */
  from: string;
  to: string[];
  subject: string;
  text: string;
  html: string;
  messageId: string;
  /** The whole message. */
  raw: string;
  /** The URL in it that has a code, and that code. Null: there is none. */
  link: string | null;
  linkCode: string | null;
  /** The code for typing. */
  code: string | null;
};

/**
 * What the server does with mails: `take` them, `hang` without an answer at the next command, `drop` the connection in the
 * middle of a mail, `lose` the connection after it took the mail but before it says so, refuse for now (`later`, 4xx) or
 * for ever (`never`, 5xx).
 */
type CatcherMode = 'take' | 'hang' | 'drop' | 'lose' | 'later' | 'never';

export type MailCatcher = Awaited<ReturnType<typeof catchMails>>;

/** A real SMTP server on a free port of this machine, closed when the test ends. */
export async function catchMails(t: Teardown, options: SMTPServerOptions & { port?: number } = {}) {
  const all: CaughtMail[] = [];
  const given = new Set<CaughtMail>();
  const events = new EventEmitter().setMaxListeners(0);
  const { port = 0, ...settings } = options;
  const catcher = { mode: 'take' as CatcherMode, connections: 0, commands: 0 };
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 100,
    onConnect: (_session, done) => {
      catcher.connections += 1;
      events.emit('connection');
      if (catcher.mode !== 'hang') done();
    },
    onRcptTo: (_address, session, done) => {
      catcher.commands += 1;
      events.emit('recipient');
      if (catcher.mode === 'drop') return destroy(session);
      done(refusal(catcher.mode));
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
      stream.on('end', async () => {
        const mail = await read(Buffer.concat(chunks).toString('utf8'), session.envelope);
        all.push(mail);
        if (catcher.mode === 'lose') destroy(session);
        else done();
        events.emit('mail');
      });
    },
    ...settings,
  });
  const sockets = new Map<string, { destroy(): void }>();
  server.server.on('connection', (socket) => {
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    sockets.set(name, socket);
    socket.on('close', () => sockets.delete(name));
  });
  const destroy = ({
    remoteAddress,
    clientPort,
  }: {
    remoteAddress?: string;
    clientPort?: number | boolean;
  }) => {
    for (const [name, socket] of sockets)
      if (name.endsWith(`${remoteAddress}:${clientPort}`)) socket.destroy();
  };
  // A client that goes away in the middle is no failure of the test.
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.server.address() as AddressInfo;
  const close = async () => {
    for (const socket of sockets.values()) socket.destroy();
    await new Promise<void>((resolve) => server.close(resolve));
  };
  t.teardown(close);

  return Object.assign(catcher, {
    port: address.port,
    smtpUrl: `smtp://127.0.0.1:${address.port}`,
    all,
    close,
    /** The next mail to this address that was not returned before; waits for it. */
    async next(to: string): Promise<CaughtMail> {
      for (;;) {
        const mail = all.find((one) => one.to.includes(to) && !given.has(one));
        if (mail !== undefined) {
          given.add(mail);
          return mail;
        }
        await once(events, 'mail');
      }
    },
    /** Waits until something happens: a connection, a recipient, or a mail. */
    happens: (event: 'connection' | 'recipient' | 'mail') => once(events, event),
  });
}

function refusal(mode: CatcherMode): Error | null {
  if (mode === 'later') return Object.assign(new Error('4.2.0 try again later'), { responseCode: 450 });
  if (mode === 'never') return Object.assign(new Error('5.1.1 no such mailbox'), { responseCode: 550 });
  return null;
}

type Envelope = { mailFrom: { address: string } | false; rcptTo: { address: string }[] };

async function read(raw: string, { mailFrom, rcptTo }: Envelope): Promise<CaughtMail> {
  const { subject = '', text = '', html = '', messageId = '' } = await PostalMime.parse(raw);
  const [link = null, linkCode = null] = /https?:\/\/\S+#code=([\w-]+)/.exec(text) ?? [];
  const [, code = null] = /^\s+([\dA-Z]{4}-[\dA-Z]{4})$/m.exec(text) ?? [];
  const from = mailFrom === false ? '' : mailFrom.address;
  const to = rcptTo.map(({ address }) => address);
  return { from, to, subject, text, html, messageId, raw, link, linkCode, code };
}
