import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { openAccounts as openRoom } from '../../src/accounts/open-accounts.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { openCodes } from '../../src/codes/open-codes.ts';
import type { Config } from '../../src/config/config.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import type { Mail, MailTemplate } from '../../src/mail/mail.ts';
import type { MailService } from '../../src/mail/mail-service.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { openSessions } from '../../src/sessions/open-sessions.ts';
import type { SessionRecord } from '../../src/sessions/session-rules.ts';
import { openPostgres } from './adapters.ts';
import { createPlatform, keepErrors } from './platform.ts';

export const device = { ip: '192.0.2.1', userAgent: 'Lynx' };
const QUICK_HASH = { PASSWORD_HASH_MEMORY_KIB: 7168, PASSWORD_HASH_ITERATIONS: 5, PASSWORD_HASH_THREADS: 1 };

/** A mail that would have been sent. */
type Sent = { [Template in MailTemplate]: Mail<Template> }[MailTemplate];

export const makePassword = () => randomBytes(16).toString('base64url');
export const makeEmail = () => `${randomBytes(6).toString('hex')}@example.com`;

/** The accounts of one replica on a real PostgreSQL, with mails that go nowhere. */
export async function openAccounts(t: Test, settings: Partial<Config> = {}, mailChanges = {}) {
  const { database, moveTime } = await openPostgres();
  const mails: Sent[] = [];
  const errors: unknown[] = [];
  const mail: MailService = {
    isOn: true,
    // Only what is committed goes out.
    send: async (transaction, sent) =>
      transaction.afterCommit(async () => void mails.push(sent as unknown as Sent)),
    withdraw: async () => {},
    ...mailChanges,
  };
  let passedMs = 0;
  const clock = createDatabaseClock(() => Date.now() + passedMs);
  const config = { ...QUICK_HASH, ...settings };
  const platform = createPlatform(database, { config, clock, log: keepErrors(errors) });
  const outbox = openOutbox(platform);
  const { service: audit, close: writeEvents } = openAudit(platform);
  const codes = openCodes(platform).service;
  const sessions = openSessions(platform, { outbox: outbox.service, audit });
  const { service, history } = sessions;
  const parts = { outbox: outbox.service, sessions: service, history, audit, mail, codes };
  const accounts = openRoom(platform, parts);
  t.teardown(async () => {
    await accounts.close();
    await writeEvents();
    await outbox.close();
    await sessions.close();
  });

  async function eventsOf(userId: string) {
    const events = [];
    for await (const some of audit.listOf(userId)) events.push(...some);
    return events;
  }

  /** The live session of a generate token. */
  async function find(generateToken: string): Promise<SessionRecord | null> {
    return sessions.service.find(generateToken, device.ip);
  }

  async function signIn(email: string, password: string) {
    const { session, user } = await accounts.service.signIn({ email, password }, visitor());
    return { token: session.generateToken, user, session: await getSession(session.generateToken) };
  }

  async function signUp(email = makeEmail(), password = makePassword()) {
    const { session, user } = await accounts.service.signUp({ email, password }, visitor());
    const token = session.generateToken;
    return { email, password, token, user, session: await getSession(token) };
  }

  async function getSession(token: string): Promise<SessionRecord> {
    const session = await find(token);
    if (session === null) throw new Error('there is no such session');
    return session;
  }

  return {
    ...{
      ...platform,
      accounts,
      codes,
      audit,
      outbox: outbox.service,
      sessions: sessions.service,
      mails,
      errors,
    },
    ...{ eventsOf, find, signIn, signUp, writeEvents },
    /** The mails so far that nobody has taken, once all that is due has been delivered. */
    async takeMails(): Promise<Sent[]> {
      await outbox.service.deliverDue();
      return mails.splice(0);
    },
    passTime: async (ms: number) => {
      passedMs += ms;
      await moveTime(ms);
    },
  };
}

function visitor() {
  return { device, generateToken: null, deviceCookie: null, acceptLanguage: null };
}
