import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { COMMAND_SOCKET } from '../../src/adapters/data-folder.ts';
import { loadConfig } from '../../src/config/config.ts';
import { unavailable } from '../../src/core/errors.ts';
import type { ImportBatch, ImportedUser, ImportOutcome } from '../../src/imports/imported-user.ts';
import { serveCommands } from '../../src/operator/command-socket.ts';
import { createImportReport } from '../../src/operator/import-report.ts';
import { type ImportWish, runImport } from '../../src/operator/import-run.ts';
import { createPrivateFile, freePath } from '../../src/operator/private-file.ts';
import { openProgress } from '../../src/operator/progress.ts';
import { shortFolder } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';

t.setTimeout(120_000);

const silent = { debug: () => {}, warn: () => {}, error: () => {} };

/** A server that takes users into a list; `before` may fail a batch. */
async function setUp(t: Test, before: (batch: number) => void = () => {}) {
  const folder = shortFolder(t);
  const taken = new Map<string, ImportedUser>();
  const dryRuns: boolean[] = [];
  const take = (user: ImportedUser, isDryRun: boolean): ImportOutcome => {
    if (user.email.startsWith('bad')) return { outcome: 'rejected', reasons: ['email: The address is bad.'] };
    if (taken.has(user.email)) return { outcome: 'unchanged' };
    if (!isDryRun) taken.set(user.email, user);
    return { outcome: 'created' };
  };
  const commands = {
    'migrations.last': async () => ({ last: null }),
    'users.import-batch': async ({ records, dry_run }: ImportBatch) => {
      before(dryRuns.push(dry_run));
      return { results: records.map((user) => take(user, dry_run)) };
    },
    'users.export-batch': async ({ after, limit }: { after: string | null; limit: number }) => {
      before(dryRuns.push(false));
      const all = [...taken.values()];
      const start = Number(after ?? 0);
      const next = start + limit < all.length ? String(start + limit) : null;
      return { records: all.slice(start, start + limit), next };
    },
  };
  const stop = await serveCommands(join(folder, COMMAND_SOCKET), commands, silent);
  t.teardown(() => stop());
  const write = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await doorward({ DATA_DIR: folder }, 'users', ...args);
    return { code, stdout, stderr };
  };
  const config = loadConfig({ DATA_DIR: folder });
  const importHere = (wish: Partial<ImportWish>, ended = new AbortController().signal) =>
    runImport(
      config,
      { file: '-', from: 'auto', withoutPasswords: false, dryRun: false, skip: 0, waitMs: 60_000, ...wish },
      ended,
    );
  return { folder, taken, dryRuns, write, run, importHere, stop };
}

const lines = (...records: unknown[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('');
const users = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ email: `u${index}@b.example` }));

t.test('what cannot be taken is in a file that can be corrected and given again', async (t) => {
  const { taken, write, run, folder } = await setUp(t);
  const records = [
    { localId: 'a', email: 'a@b.example', mfaInfo: [{}] },
    { localId: 'b', email: 'bad@b.example', mfaInfo: [{}] },
    { localId: 'c' },
  ];
  const file = write('users.json', JSON.stringify({ users: records }));
  const first = await run('import', file, '--without-passwords');
  t.equal(first.code, 2);
  t.equal(
    first.stderr,
    `Reading ${file} as users of Firebase.\nuser 2: email: The address is bad.\nuser 3: there is no e-mail address: a guest, or an account of a telephone number\n`,
  );
  t.equal(
    first.stdout,
    `Records read: 3. Created: 1, already here: 0, rejected: 2.
Not brought along, second factors: of 1 users
Correct what was rejected in ${file}.rejected, and import that file.
`,
  );
  const rejected = `${file}.rejected`;
  t.equal(statSync(rejected).mode & 0o777, 0o600);
  const entries = readFileSync(rejected, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(entries, [
    { line: 2, from: 'firebase', reasons: ['email: The address is bad.'], record: { localId: 'b' } },
    { line: 3, from: 'firebase', record: { localId: 'c' } },
  ]);

  entries[0].record.email = 'good@b.example';
  write('users.json.rejected', lines(...entries));
  const second = await run('import', rejected, '--without-passwords', '--json');
  t.equal(second.code, 2);
  t.match(JSON.parse(second.stdout), {
    ...{ from: 'firebase', read: 2, created: 1, unchanged: 0, rejected: 1, complete: true },
    rejected_file: `${rejected}-2`,
  });
  t.same([...taken.keys()], ['a@b.example', 'good@b.example']);
  t.same(
    readdirSync(folder).filter((name) => name.endsWith('.part')),
    [],
  );
});

t.test('a second run changes nothing, and a dry run neither', async (t) => {
  const { taken, dryRuns, write, run } = await setUp(t);
  const file = write('users.ndjson', lines(...users(3)));
  const dry = await run('import', file, '--dry-run');
  t.match(dry, { code: 0, stdout: /Created: 3, .*\nThis was a dry run: nothing was changed\.\n$/ });
  t.equal(taken.size, 0);
  t.match(await run('import', file), { code: 0, stdout: /Created: 3, already here: 0, rejected: 0\.\n$/ });
  t.match(await run('import', file, '--wait', '1s'), {
    code: 0,
    stdout: /Created: 0, already here: 3, rejected: 0\.\n$/,
  });
  t.same(dryRuns, [true, false, false]);
});

t.test('standard input is a file like others', async (t) => {
  const { taken, importHere } = await setUp(t);
  t.capture(process.stderr, 'write', () => true);
  t.intercept(process, 'stdin', { value: Readable.from([Buffer.from(lines(...users(2)))]) });
  t.match(await importHere({}), { summary: { file: '-', created: 2, rejected_file: null }, trouble: null });
  t.equal(taken.size, 2);
});

t.test('a report tells of each record, and only the first reasons are shown', async (t) => {
  const { write, run, folder } = await setUp(t);
  const bad = Array.from({ length: 25 }, () => ({ email: 'bad@b.example' }));
  const keycloak = {
    realm: 'x',
    users: [{ email: 'k@b.example', createdTimestamp: 1 }, { serviceAccountClientId: 'shop' }],
  };
  const report = join(folder, 'report');
  const service = await run('import', write('realm.json', JSON.stringify(keycloak)), '--report', report);
  t.match(service, { code: 0, stdout: /\nPassed over, service accounts of clients: 1\n$/ });
  t.same(
    readFileSync(report, 'utf8'),
    lines(
      { line: 1, outcome: 'created', reasons: [], left_out: [] },
      { line: 2, outcome: 'no_user', reasons: ['service accounts of clients'], left_out: [] },
    ),
  );
  t.equal(statSync(report).mode & 0o777, 0o600);
  const rejected = join(folder, 'mine');
  const many = await run('import', write('bad.ndjson', lines(...bad)), '--rejected', rejected);
  t.equal(many.stderr.match(/The address is bad/g)?.length, 20);
  t.match(many.stderr, /further ones are only in the file/);
  t.equal(readFileSync(rejected, 'utf8').trim().split('\n').length, 25);
});

t.test('a file does not steer the terminal, nor fill it', (t) => {
  const shown: string[] = [];
  const files = { rejected: join(t.testdir({}), 'rejected'), all: undefined };
  const report = createImportReport(files, 'line', (line) => shown.push(line));
  const reasons = ['\u001b[2J\u009b\u202ename', 'x'.repeat(5_000)];
  report.add({ line: 1, from: 'ndjson', outcome: 'rejected', reasons, leftOut: [], source: {} });
  report.close();
  t.match(shown[0], /^line 1: \ufffd\[2J\ufffd\ufffdname x+$/);
  t.ok(String(shown[0]).length < 1_100);
  t.end();
});

t.test('what cannot be read is said before anything is changed', async (t) => {
  const { taken, write, run, folder } = await setUp(t);
  const withHash = write(
    'f.json',
    JSON.stringify({ users: [{ localId: 'a', email: 'a@b.example', passwordHash: 'aa' }] }),
  );
  t.match(await run('import', withHash), { code: 1, stderr: /--hash-config FILE/ });
  const config = { base64_signer_key: 'aVerySecretKeyOfAProject', rounds: 8, mem_cost: 14 };
  t.match(await run('import', withHash, '--hash-config', write('none.json', '{}')), {
    code: 1,
    stderr: /no base64/,
  });
  const notJson = await run('import', withHash, '--hash-config', write('key.txt', 'secret'));
  t.match(notJson, { code: 1, stderr: /no base64_signer_key/ });
  t.notMatch(notJson.stderr, 'secret');
  t.match(await run('import', withHash, '--hash-config', 'nowhere'), { code: 1, stderr: /ENOENT/ });
  t.match(await run('import', join(folder, 'nothing')), {
    code: 1,
    stderr: /nothing: it cannot be read \(ENOENT\)/,
  });
  t.match(await run('import', '-'), { code: 1, stderr: '-: The file is empty.\n' });
  t.match(await run('import', write('odd.ndjson', '{"a":1}\n')), { code: 1, stderr: /--from/ });
  t.match(await run('import', withHash, '--from', 'myspace'), { code: 1, stderr: /Allowed choices/ });
  t.match(await run('import', withHash, '--skip', 'x'), { code: 1, stderr: /whole number/ });
  t.match(await run('import', withHash, '--wait', 'x'), { code: 1, stderr: /duration/ });
  t.equal(taken.size, 0);
  t.match(await run('import', withHash, '--hash-config', write('key.json', JSON.stringify(config))), {
    code: 0,
  });
  t.match(taken.get('a@b.example')?.password_hash, /^\$fbscrypt\$v=1,n=14,r=8,p=1,ss=,sk=aVery/);
  t.match(await run('import', write('forced.ndjson', '{"a":1}\n'), '--from', 'ndjson'), { code: 2 });
});

t.test('a document that is damaged in the middle is taken up to there, and the rest later', async (t) => {
  const { taken, write, run } = await setUp(t);
  const all = users(3_000);
  const file = write('list.json', JSON.stringify(all).slice(0, -30));
  const first = await run('import', file);
  t.equal(first.code, 1);
  t.match(first.stderr, /The document is not JSON, or its end is missing, after user \d+\./);
  const stopped = Number(/Stopped after (\d+) records/.exec(first.stdout)?.[1]);
  t.equal(taken.size, stopped);
  t.ok(stopped > 0 && stopped % 500 === 0, 'whole batches');
  write('list.json', JSON.stringify(all));
  t.match(await run('import', file, '--skip', String(stopped)), { code: 0, stdout: /already here: 0/ });
  t.equal(taken.size, 3_000, 'nothing is missing');
});

t.test('a database that is away is waited for, and the batch is sent again', async (t) => {
  const { taken, write, importHere } = await setUp(t, (batch) => {
    if (batch === 2 || batch === 3) throw unavailable(new Error('away'));
  });
  const said = t.capture(process.stderr, 'write', () => true);
  const { summary, trouble } = await importHere({ file: write('users.ndjson', lines(...users(1_200))) });
  t.match(summary, { created: 1_200, complete: true });
  t.equal(trouble, null);
  t.equal(taken.size, 1_200);
  const waits = said().filter(({ args }) => /Waiting for that, up to 60 s/.test(String(args[0])));
  t.equal(waits.length, 1, 'said once for one reason');
});

t.test('when it stays away, the import stops, and says where', async (t) => {
  const { write, importHere } = await setUp(t, (batch) => {
    if (batch >= 2) throw unavailable(new Error('away'));
  });
  t.capture(process.stderr, 'write', () => true);
  const { summary, trouble } = await importHere({
    file: write('users.ndjson', lines(...users(1_200))),
    waitMs: 0,
  });
  t.match(summary, { read: 500, created: 500, complete: false });
  t.match(trouble, /no answer/);
});

t.test('a server that was killed in the middle is waited for too', async (t) => {
  const { write, importHere, stop, folder } = await setUp(t);
  await stop();
  let batches = 0;
  const server = createServer(async (call, response) => {
    const { records = [] } = JSON.parse(await text(call));
    if (call.url?.endsWith('import-batch') && batches++ === 0) return void call.socket.destroy();
    response.end(JSON.stringify({ result: { results: records.map(() => ({ outcome: 'created' })) } }));
  }).listen(join(folder, COMMAND_SOCKET));
  await once(server, 'listening');
  t.teardown(() => server.close());
  const said = t.capture(process.stderr, 'write', () => true);
  const { summary } = await importHere({ file: write('users.ndjson', lines(...users(10))) });
  t.match(summary, { created: 10, complete: true });
  t.match(JSON.stringify(said()), /does not answer: start it\. Waiting for that/);
});

t.test('an interruption ends it after the batch that is under way', async (t) => {
  const ended = new AbortController();
  const { folder, importHere } = await setUp(t, (batch) => {
    if (batch === 1) ended.abort();
  });
  t.capture(process.stderr, 'write', () => true);
  t.intercept(process, 'stdin', {
    value: Readable.from([Buffer.from(lines({ email: 'bad@b.example' }, ...users(1_200)))]),
  });
  const rejected = join(folder, 'rejected');
  const { summary, trouble } = await importHere({ rejected }, ended.signal);
  t.match(summary, { read: 500, created: 499, rejected: 1, complete: false, rejected_file: rejected });
  t.equal(trouble, null);
  t.ok(existsSync(rejected), 'what was rejected until then is not lost');
});

t.test('the export is what import takes, and never takes the place of a file by itself', async (t) => {
  const { taken, run, folder } = await setUp(t);
  const all = users(1_500).map((user) => ({ ...user, password_hash: '$2b$10$x' }));
  for (const user of all) taken.set(user.email, user);
  const printed = await run('export');
  t.equal(printed.stdout, lines(...all));
  t.match(printed, {
    code: 0,
    stderr: /^Users exported: 1500\. Their password hashes are in it: keep it as a secret/,
  });
  const file = join(folder, 'out.ndjson');
  t.match(await run('export', file, '--without-hashes'), { code: 0, stdout: '', stderr: /are not in it/ });
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.notMatch(readFileSync(file, 'utf8'), '$2b$');
  t.match(await run('export', file), { code: 1, stderr: /is there already/ });
  t.match(await run('export', file, '--force'), { code: 0 });
  t.equal(readFileSync(file, 'utf8'), printed.stdout);
  taken.clear();
  t.match(await run('import', file), { code: 0 });
  t.same([...taken.values()], all);
});

t.test('an export that fails leaves no file', async (t) => {
  const { taken, run, folder } = await setUp(t, (batch) => {
    if (batch === 2) throw unavailable(new Error('away'));
  });
  for (const user of users(1_500)) taken.set(user.email, user);
  t.match(await run('export', join(folder, 'out.ndjson')), { code: 1 });
  t.notMatch(readdirSync(folder).join(), 'out');
});

t.test('a private file is whole or not there, whatever its size', async (t) => {
  const folder = t.testdir({});
  const path = freePath(join(folder, 'a'));
  const file = createPrivateFile(path);
  for (let part = 0; part < 3; part += 1) file.append('ä'.repeat(200_000));
  t.notOk(existsSync(path));
  file.keep(path);
  t.equal(readFileSync(path, 'utf8'), 'ä'.repeat(600_000));
  writeFileSync(`${path}-2`, '');
  t.equal(freePath(path), `${path}-3`);
});

t.test('a private file in a folder that is not there is a mistake of the operator', (t) => {
  t.throws(() => createPrivateFile('/nowhere/users.rejected'), { message: /no such folder/ });
  t.end();
});

t.test('progress is shown on a terminal alone', async (t) => {
  const shown: string[] = [];
  const terminal = Object.assign(
    new Writable({
      write: (chunk, _encoding, done) => {
        shown.push(String(chunk));
        done();
      },
    }),
    { isTTY: true, columns: 80, clearLine: () => true, cursorTo: () => true, moveCursor: () => true },
  );
  const progress = await openProgress(terminal);
  progress.update('5 created');
  progress.end();
  t.ok(shown.length > 0);
  const pipe = await openProgress(Object.assign(terminal, { isTTY: false }));
  const before = shown.length;
  pipe.update('6 created');
  pipe.end();
  t.equal(shown.length, before);
});
