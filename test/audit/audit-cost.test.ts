import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import { openAccounts } from '../../src/accounts/open-accounts.ts';
import type { AuditService } from '../../src/audit/audit-service.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { openCodes } from '../../src/codes/open-codes.ts';
import { loadPostgresDriver, sql } from '../../src/db/drizzle.ts';
import { connect } from '../../src/db/postgres.ts';
import * as schema from '../../src/db/schema.ts';
import { openMail } from '../../src/mail/open-mail.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { openSessions } from '../../src/sessions/open-sessions.ts';
import { createTestDatabase } from '../support/database.ts';
import { createPlatform } from '../support/platform.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

const { drizzle } = loadPostgresDriver();

const QUICK_HASH = { PASSWORD_HASH_MEMORY_KIB: 7168, PASSWORD_HASH_ITERATIONS: 5, PASSWORD_HASH_THREADS: 1 };
const device = { ip: '192.0.2.1', userAgent: 'Lynx' };

/** The accounts of a server with one connection, whose round trips are counted. */
async function setUp(t: Test) {
  const proxy = await createTcpProxy(t, (await createTestDatabase(t)).url);
  const client = connect(proxy.url, 1, 'direct');
  t.teardown(() => client.end({ timeout: 0 }));
  const database = drizzle(client, { schema });
  const platform = createPlatform(database, { config: QUICK_HASH });
  const outbox = openOutbox(platform);
  const audit = openAudit(platform).service;
  const mail = openMail(platform, outbox.service);
  const codes = openCodes(platform).service;

  function open(record: AuditService['record']) {
    const features = { outbox: outbox.service, audit: { ...audit, record } };
    const sessions = openSessions(platform, features);
    const parts = { ...features, sessions: sessions.service, history: sessions.history };
    const accounts = openAccounts(platform, { ...parts, mail: mail.service, codes });
    t.teardown(async () => {
      await accounts.close();
      await sessions.close();
    });
    return accounts.service;
  }
  t.teardown(async () => {
    await mail.close();
    await outbox.close();
  });
  return { proxy, database, audit, open };
}

const visitor = (deviceCookie: string | null = null) => ({
  ...{ device, generateToken: null, deviceCookie, acceptLanguage: null },
});

const makeCredentials = () => ({
  email: `${randomBytes(6).toString('hex')}@example.com`,
  password: randomBytes(16).toString('base64url'),
});

test('a sign-in has as many round trips to PostgreSQL as without its event', async (t) => {
  const { proxy, database, audit, open } = await setUp(t);
  const [recording, silent] = [open(audit.record), open(async () => {})];
  const credentials = makeCredentials();
  const { deviceCookie } = await recording.signUp(credentials, visitor());

  async function turnsOf(accounts: typeof recording) {
    const before = proxy.turns();
    await accounts.signIn(credentials, visitor(deviceCookie));
    return proxy.turns() - before;
  }
  // The first time, statements are prepared.
  for (const accounts of [recording, silent]) await turnsOf(accounts);
  const turns = [await turnsOf(silent), await turnsOf(recording)];
  t.equal(turns[1], turns[0], `${turns} round trips`);
  const events = await database.select().from(schema.auditEvents);
  t.equal(events.filter(({ kind }) => kind === 'session.started').length, 2);
});

test('there is no session, and no account, whose event could not be written', async (t) => {
  const { database, audit, open } = await setUp(t);
  const accounts = open(audit.record);
  const credentials = makeCredentials();
  await accounts.signUp(credentials, visitor());
  const count = async () => [await database.$count(schema.sessions), await database.$count(schema.users)];
  const before = await count();
  await database.execute(sql`alter table audit_events add constraint is_full check (false) not valid`);
  const refusal = { name: 'DatabaseError', sqlState: '23514' };
  await t.rejects(accounts.signIn(credentials, visitor()), refusal);
  await t.rejects(accounts.signUp(makeCredentials(), visitor()), refusal);
  t.same(await count(), before);
});
