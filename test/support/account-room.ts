import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { openAccounts } from '../../src/accounts/open-accounts.ts';
import type { Visitor } from '../../src/accounts/visitor.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { openCodes } from '../../src/codes/open-codes.ts';
import type { Config } from '../../src/config/config.ts';
import type { Mail } from '../../src/mail/mail.ts';
import type { MailService } from '../../src/mail/mail-service.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { openSessions } from '../../src/sessions/open-sessions.ts';
import { openPostgres } from './adapters.ts';
import { createPlatform } from './platform.ts';

const QUICK_HASH = {
  PASSWORD_HASH_MEMORY_KIB: 7_168,
  PASSWORD_HASH_ITERATIONS: 1,
  PASSWORD_HASH_THREADS: 1,
};

/** What was asked of the mail service, in that order. */
type Posted = Mail | { withdrawn: string };

export type AccountRoomOptions = { config?: Partial<Config>; mailIsOn?: boolean };

/** The accounts of one replica on a real PostgreSQL, with mails that go nowhere. */
export async function openAccountRoom(t: Test, { config = {}, mailIsOn = true }: AccountRoomOptions = {}) {
  const opened = await openPostgres();
  let passedMs = 0;
  const local = () => Date.now() + passedMs;
  const platform = createPlatform(opened.database, { config: { ...QUICK_HASH, ...config }, local });
  const posted: Posted[] = [];
  const mail: MailService = {
    isOn: mailIsOn,
    send: async (_transaction, sent) => void posted.push(sent as Mail),
    withdraw: async (_transaction, userId) => void posted.push({ withdrawn: userId }),
  };
  const { service: outbox } = openOutbox(platform);
  const { service: audit } = openAudit(platform);
  const { service: codes } = openCodes(platform);
  const { service: sessions, history, close: closeSessions } = openSessions(platform, { outbox, audit });
  const accounts = openAccounts(platform, { outbox, sessions, history, audit, mail, codes });
  t.teardown(async () => {
    await accounts.close();
    await closeSessions();
  });
  const device = { ip: '192.0.2.7', userAgent: 'Lynx' };
  const visitor: Visitor = { device, generateToken: null, deviceCookie: null, acceptLanguage: null };

  return {
    ...opened,
    ...{ accounts, sessions, audit, codes, posted, device, visitor },
    /** Lets time pass in the database and the replica. */
    passTime: async (ms: number) => {
      passedMs += ms;
      await opened.moveTime(ms);
    },
    /** A new account, and its session as the routes know it. */
    signUp: async () => {
      const email = `${randomBytes(6).toString('hex')}@example.com`;
      const password = randomBytes(18).toString('base64url');
      const { user, session } = await accounts.service.signUp({ email, password }, visitor);
      const found = await sessions.find(session.generateToken, device.ip);
      if (found === null) throw new Error('the new session is not there');
      return { user, password, session: found, generateToken: session.generateToken };
    },
  };
}
