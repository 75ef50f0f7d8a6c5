import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import type { Config } from '../../src/config/config.ts';
import { resetMail, sendMails } from '../mail/send-mails.ts';
import { doorward } from '../support/processes.ts';

t.setTimeout(120_000);

/** An embedded server's mails without SMTP_URL, and the command that shows them. */
async function setUp(t: Test) {
  const dataDir = t.testdir({});
  const config: Partial<Config> = { EMBEDDED: true, DATA_DIR: dataDir };
  const opened = await sendMails(t, config);
  const { send, outbox } = opened.openReplica();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await doorward({ DATA_DIR: dataDir }, 'mail', 'show', ...args);
    return { code, stdout, stderr };
  };
  const folder = join(dataDir, 'mails');
  const sendNow = async (to: string) => {
    await send(resetMail({ to }));
    await outbox.deliverDue();
  };
  return { ...opened, folder, run, sendNow };
}

t.test(
  'mails without a mail server are in files that only their owner reads, and a command shows them',
  async (t) => {
    const { folder, run, sendNow, lines } = await setUp(t);
    const none = await run();
    t.equal(none.code, 1);
    t.match(none.stderr, `There is no mail in ${folder}.`);

    await sendNow('first@example.com');
    await sendNow('käthe@example.com');
    const names = readdirSync(folder).sort();
    const last = join(folder, String(names.at(-1)));
    t.equal(statSync(folder).mode & 0o777, 0o700);
    t.equal(statSync(last).mode & 0o777, 0o600);

    const shown = await run();
    t.equal(shown.code, 0);
    t.match(shown.stdout, /^To: käthe@example\.com\nSubject: Set a new password\nWritten: \S+Z\nFile: /);
    t.match(shown.stdout, `File: ${last}\n\nHello,\n`);
    t.match(shown.stdout, /^ {4}7K3M-9QXD$/m);
    t.match(JSON.parse((await run('--json')).stdout), {
      file: last,
      to: 'käthe@example.com',
      text: /7K3M-9QXD/,
    });

    const listed = (await run('--list')).stdout.split('\n');
    t.match(listed, [
      /^WRITTEN +TO +SUBJECT +FILE$/,
      /käthe@example\.com +Set a new password/,
      /first@example\.com/,
    ]);
    t.equal(JSON.parse((await run('--list', '--json')).stdout).length, 2);

    const said = lines.filter(({ level }) => level === 'warn');
    t.match(said, [{}, { context: { file: last }, message: /doorward mail show/ }]);
    t.notMatch(JSON.stringify(lines), /7K3M|#code=/, 'the log has no code');
  },
);

t.test('the newest hundred mails are kept', async (t) => {
  const { folder, sendNow } = await setUp(t);
  mkdirSync(folder, { recursive: true });
  const old = Array.from({ length: 100 }, () => `${uuidv7()}.eml`);
  for (const name of old) writeFileSync(join(folder, name), 'Subject: x\r\n\r\nx');
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  await sendNow('ada@example.com');
  const kept = readdirSync(folder)
    .filter((name) => name.endsWith('.eml'))
    .sort();
  t.equal(kept.length, 100);
  t.strictSame(kept.slice(0, 99), old.slice(1));
  t.match(readFileSync(join(folder, String(kept.at(-1))), 'utf8'), /^To: ada@example\.com\r$/m);
  t.ok(readdirSync(folder).includes('notes.txt'));
});

t.test('a folder that cannot be read is named', async (t) => {
  const dataDir = t.testdir({ mails: 'a file where the folder should be' });
  const { code, stderr } = await doorward({ DATA_DIR: dataDir }, 'mail', 'show');
  t.equal(code, 1);
  t.match(stderr, join(dataDir, 'mails'));
});
