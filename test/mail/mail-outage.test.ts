import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import t, { type Test } from 'tap';
import { parseSmtpUrl } from '../../src/config/smtp-target.ts';
import { loadPostgresDriver } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { openMail } from '../../src/mail/open-mail.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { eventually } from '../support/adapters.ts';
import { createTestDatabase, moveDatabaseTime } from '../support/database.ts';
import { createPlatform } from '../support/platform.ts';
import { MINUTE_MS, resetMail } from './send-mails.ts';

const { drizzle } = loadPostgresDriver();
const SERVER = fileURLToPath(new URL('./smtp-process.ts', import.meta.url));
const MAILS = 200;
const FAULT_EVERY = 40;

t.setTimeout(180_000);

type Taken = { to: string; messageId: string };

/** A mail server that can be killed, and that comes back on the same port. */
function mailServer(t: Test) {
  const taken: Taken[] = [];
  let port = 0;
  let child: ChildProcess | undefined;
  const start = async () => {
    const process_ = spawn(process.execPath, [SERVER, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = process_;
    const { promise: listening, resolve } = Promise.withResolvers<void>();
    createInterface(process_.stdout).on('line', (line) => {
      const said: Taken & { port?: number } = JSON.parse(line);
      if (said.port === undefined) return void taken.push(said);
      port = said.port;
      resolve();
    });
    await listening;
  };
  const kill = async () => {
    child?.kill('SIGKILL');
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  t.teardown(kill);
  return { taken, start, kill, url: () => `smtp://127.0.0.1:${port}` };
}

/** One replica's mails, on connections of its own. */
function openReplica(t: Test, databaseUrl: string, smtpUrl: string, keyEncryptionKey: Buffer) {
  const sql = postgres(databaseUrl, { max: 4, onnotice: () => {} });
  t.teardown(() => sql.end({ timeout: 1 }));
  const platform = createPlatform(drizzle(sql, { schema }), {
    keyEncryptionKey,
    deadlineMs: 2_000,
    config: { EMBEDDED: false, SMTP_URL: parseSmtpUrl(smtpUrl) ?? undefined },
  });
  const outbox = openOutbox(platform);
  const mail = openMail(platform, outbox.service);
  t.teardown(async () => {
    await mail.close();
    await outbox.close();
  });
  outbox.service.start();
  return { transact: platform.transact, send: mail.service.send };
}

t.test('no mail is lost while the mail server is killed and the database ends all connections', async (t) => {
  const { url } = await createTestDatabase(t);
  const server = mailServer(t);
  await server.start();
  const key = randomBytes(32);
  const replicas = [1, 2].map(() => openReplica(t, url, server.url(), key));
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  t.teardown(() => admin.end());
  const endConnections = () => admin`
    select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;

  // The test moves the time, and a code must not get too old by that.
  const data = { link: null, code: '7K3M-9QXD', goodForMs: 7 * 24 * 60 * MINUTE_MS };
  const asked: string[] = [];
  let faults = 0;
  for (let n = 0; n < MAILS; n += 1) {
    const to = `user-${n}@example.com`;
    const { transact, send } = replicas[n % 2] as (typeof replicas)[number];
    // What a caller gets an error for was not promised.
    await transact((transaction) => send(transaction, resetMail({ to, data }))).then(
      () => asked.push(to),
      () => {},
    );
    if (n % FAULT_EVERY !== FAULT_EVERY - 1) continue;
    faults += 1;
    await Promise.all([server.kill(), endConnections()]);
    await server.start();
  }
  await eventually(async () => {
    // To the next attempts, which are seconds away.
    await moveDatabaseTime(url, 1_000);
    const [row] = await admin`select count(*)::int as n from outbox`;
    if (row?.n !== 0) throw new Error(`${row?.n} mails wait`);
  });

  const lost = asked.filter((to) => !server.taken.some((mail) => mail.to === to));
  const doubled = server.taken.length - new Set(server.taken.map(({ messageId }) => messageId)).size;
  t.comment(
    `${asked.length} promised, ${server.taken.length} taken, ${lost.length} lost, ${doubled} doubled, ${faults} faults`,
  );
  t.strictSame(lost, []);
  t.ok(asked.length > MAILS / 2, `${asked.length} were promised`);
  t.ok(doubled <= faults * 10, `${doubled} doubled: at most what both replicas have under way at a fault`);
  const ofOne = Map.groupBy(server.taken, ({ to }) => to);
  t.ok(
    [...ofOne.values()].every((mails) => new Set(mails.map(({ messageId }) => messageId)).size === 1),
    'under one Message-ID',
  );
  t.equal(faults, MAILS / FAULT_EVERY);
});
