import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { COMMAND_SOCKET } from '../../src/adapters/data-folder.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { runCli } from '../../src/cli.ts';
import { auditEvents } from '../../src/db/schema.ts';
import { serveCommands } from '../../src/operator/command-socket.ts';
import { streaming } from '../../src/operator/streaming.ts';
import { databases } from '../support/adapters.ts';
import { createPlatform } from '../support/platform.ts';
import { shortFolder } from '../support/processes.ts';

const START_MS = Date.parse('2026-11-27T12:00:00Z');
const silent = { debug: () => {}, warn: () => {}, error: () => {} };

/** A server that runs on a data folder, with three events, and its commands. */
async function setUp(t: Test) {
  const [pglite] = databases;
  const { database } = await (pglite as (typeof databases)[0]).open(t);
  const { service, close } = openAudit(createPlatform(database));
  const [ada, bob] = [uuidv7(), uuidv7()];
  const make = (second: number, kind: string, userId: string, actorKind: 'user' | 'operator') => ({
    ...{ id: uuidv7({ msecs: START_MS + second * 1_000 }), kind, userId, actorKind },
    ...{ actorId: actorKind === 'user' ? userId : null, happenedAt: new Date(START_MS + second * 1_000) },
  });
  const events = [
    { ...make(1, 'account.created', ada, 'user'), ip: '192.0.2.1', details: { a: 1 } },
    make(2, 'session.started', bob, 'user'),
    make(3, 'account.banned', ada, 'operator'),
  ];
  await database.insert(auditEvents).values(events);
  const folder = shortFolder(t);
  let calls = 0;
  const list: typeof service.list = async (query) => {
    calls += 1;
    return service.list(query);
  };
  const commands = { 'audit.list': list, 'migrations.last': async () => ({ last: 0 }) };
  const serve = () => serveCommands(join(folder, COMMAND_SOCKET), commands, silent);
  let stop = await serve();
  const server = {
    stop: () => stop(),
    async start() {
      stop = await serve();
    },
  };
  t.teardown(async () => {
    await stop();
    await close();
  });
  const { DATA_DIR } = process.env;
  process.env.DATA_DIR = folder;
  t.teardown(() => {
    streaming.isOn = false;
    process.exitCode = 0;
    if (DATA_DIR === undefined) delete process.env.DATA_DIR;
    else process.env.DATA_DIR = DATA_DIR;
  });

  /** Runs a command in this process. @param onWrite called with each text that it writes */
  async function run(
    args: string[],
    onWrite: (text: string) => unknown = () => {},
    onTold: (line: string) => unknown = () => {},
  ) {
    const written: string[] = [];
    const write = process.stdout.write;
    const errors = t.capture(process.stderr, 'write', (line: string | Uint8Array) => {
      onTold(String(line));
      return true;
    });
    process.stdout.write = ((text: string) => {
      written.push(text);
      return onWrite(text) !== 'full';
    }) as typeof write;
    try {
      await runCli(['node', 'doorward', 'audit', ...args]);
    } finally {
      process.stdout.write = write;
      errors.restore();
    }
    return { out: written.join(''), errors: errors().map(({ args: [text] }) => String(text)) };
  }
  const add = (...some: (typeof auditEvents.$inferInsert)[]) => database.insert(auditEvents).values(some);
  return { run, add, make, events, ada, bob, folder, server, calls: () => calls };
}

const linesOf = (text: string) => text.trimEnd().split('\n');

test('events are listed, the newest first, as a table or as JSON, and can be filtered', async (t) => {
  const { run, add, events, ada, bob } = await setUp(t);
  const [head, ...rows] = linesOf((await run(['list'])).out);
  t.match(head, /^TIME +KIND +USER +BY +NETWORK +DETAILS$/);
  t.match(rows, [
    new RegExp(`^2026-11-27T12:00:03\\.000Z  account\\.banned +${ada}  operator +-$`),
    new RegExp(`session\\.started +${bob}  ${bob}  -$`),
    new RegExp(`account\\.created +${ada}  ${ada}  192\\.0\\.2\\.1 +\\{"a":1\\}$`),
  ]);
  const idsOf = async (...filters: string[]) => {
    const { out } = await run(['list', '--json', ...filters]);
    return JSON.parse(out).events.map(({ id }: { id: string }) => id);
  };
  const [created, started, banned] = events.map(({ id }) => id);
  t.same(await idsOf('--actor', ada), [created]);
  t.same(await idsOf('--actor', 'operator'), [banned]);
  t.same(await idsOf('--subject', ada), [banned, created]);
  t.same(await idsOf('--kind', 'session.started'), [started]);
  t.same(await idsOf('--since', '2026-11-27T12:00:02Z'), [banned, started]);
  t.same(await idsOf('--until', '2026-11-27T13:00:02+01:00'), [created]);
  t.same(await idsOf('--limit', '1'), [banned]);
  t.equal((await run(['list', '--kind', 'role.changed'])).out, 'Nothing.\n');
  await add({ id: uuidv7(), kind: 'sign_in.failed' });
  t.match((await run(['tail', '-n', '1'])).out, /Z {2}sign_in\.failed {2}- {2}- {2}-\n$/);
  const bad = await run(['list', '--since', 'yesterday', '--subject', 'ada', '--limit', '0']);
  t.match(bad.errors.join(''), /since.*instant such as/);
  t.match((await run(['list', '--limit', 'all'])).errors, [/--limit is "all": give a number/]);
});

test('an export is one document a line, the oldest first, as fast as it is read, and goes on', async (t) => {
  const { run, events, calls } = await setUp(t);
  const exported = await run(['export'], () => {
    setImmediate(() => process.stdout.emit('drain'));
    return 'full';
  });
  t.match(
    linesOf(exported.out).map((line) => JSON.parse(line)),
    events.map(({ id, kind, userId }) => ({ id, kind, user_id: userId, happened_at: /Z$/ })),
  );
  const before = calls();
  const rest = await run(['export', '--after', String(events[1]?.id)]);
  t.match(
    linesOf(rest.out).map((line) => JSON.parse(line)),
    [{ id: events[2]?.id }],
  );
  t.equal(calls(), before + 1);
});

test('the last events are printed, and with --follow what comes, until a signal', async (t) => {
  const { run, add, make, bob, events } = await setUp(t);
  t.match(linesOf((await run(['tail', '-n', '2'])).out), [/session\.started/, /account\.banned/]);
  const fresh = make(4, 'session.ended', bob, 'user');
  const followed = await run(['tail', '-n', '1', '-f', '--json'], async (text) => {
    if (text.includes(String(events[2]?.id))) await add(fresh);
    if (text.includes(fresh.id)) process.emit('SIGINT');
  });
  t.match(
    linesOf(followed.out).map((line) => JSON.parse(line)),
    [{ kind: 'account.banned' }, { id: fresh.id, kind: 'session.ended' }],
  );
  t.same(followed.errors, []);
});

test('who follows waits while the server is away, is told so once, and sees what came after that', async (t) => {
  const { run, add, make, bob, events, server } = await setUp(t);
  const fresh = make(4, 'session.ended', bob, 'user');
  const followed = await run(
    ['tail', '-n', '1', '-f', '--json'],
    (text) => {
      if (text.includes(String(events[2]?.id))) void server.stop();
      if (text.includes(fresh.id)) process.emit('SIGINT');
    },
    () => void add(fresh).then(server.start),
  );
  t.match(
    linesOf(followed.out).map((line) => JSON.parse(line)),
    [{ kind: 'account.banned' }, { id: fresh.id }],
  );
  t.match(followed.errors, [/does not answer: start it\. Waiting for that\n$/]);
  t.equal(process.exitCode ?? 0, 0);
});

test('whoever waits for a server that is away can end that', async (t) => {
  const { run, events, server } = await setUp(t);
  const followed = await run(
    ['tail', '-n', '1', '-f', '--json'],
    (text) => {
      if (text.includes(String(events[2]?.id))) void server.stop();
    },
    () => process.emit('SIGINT'),
  );
  t.match(followed.errors, [/Waiting for that/]);
  t.equal(process.exitCode ?? 0, 0);
});

test('what does not follow ends when the server goes away', async (t) => {
  const { run, add, make, bob, server } = await setUp(t);
  await add(
    ...Array.from({ length: 1_000 }, (_, second) => make(second + 4, 'session.started', bob, 'user')),
  );
  const ended = await run(['export'], () => void server.stop());
  t.match(ended.errors, [/does not answer: start it\.\n$/]);
  t.equal(process.exitCode, 1);
});

test('a long export ends at a signal', async (t) => {
  const { run, add, make, bob } = await setUp(t);
  await add(
    ...Array.from({ length: 1_000 }, (_, second) => make(second + 4, 'session.started', bob, 'user')),
  );
  const ended = await run(['export'], () => {
    process.emit('SIGINT');
    return 'full';
  });
  t.equal(linesOf(ended.out).length, 1_000);
  t.same(ended.errors, []);
});

test('the end of a pipe is no error of a stream', async (t) => {
  const { folder } = await setUp(t);
  // The reader has gone long before the first line.
  const script = `set -o pipefail; "${process.execPath}" src/cli.ts audit export | true`;
  const ended = promisify(execFile)('bash', ['-c', script], { env: { ...process.env, DATA_DIR: folder } });
  t.match(await ended, { stdout: '', stderr: '' });
});
