import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { COMMAND_SOCKET } from '../../src/adapters/data-folder.ts';
import { loadConfig } from '../../src/config/config.ts';
import type { KeyListing, KeyRotation } from '../../src/keys/key-commands.ts';
import { explainError } from '../../src/operator/explain-error.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { createPlace, quickSettings, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { type Ended, type ServerProcess, shortFolder, startServer } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';

type Settings = Record<string, string>;

// Most of these start processes of their own, and an embedded server takes a while for its first start.
t.setTimeout(400_000);

const newKey = () => randomBytes(32).toString('base64');

const configOf = (settings: Settings) => loadConfig({ ...quickSettings, ...settings });

/** What `doorward keys …` does, without the second or two that a process of its own takes to start. */
const list = (settings: Settings) => runCommand(configOf(settings), 'keys.list');
const rotate = async (settings: Settings, options: { now?: boolean; revoke?: string } = {}) =>
  (await runCommand(configOf(settings), 'keys.rotate', options)).keys;
const rewrap = (settings: Settings) => runCommand(configOf(settings), 'keys.rewrap');

/** Runs `doorward keys … --json`, which must succeed, and returns its output. */
async function keys<T = KeyListing[]>(settings: Settings, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await doorward(settings, 'keys', ...args, '--json');
  if (code !== 0 || stderr !== '') throw new Error(`keys ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** `doorward keys rotate … --json`, which must change something. */
async function rotated(settings: Settings, ...args: string[]): Promise<KeyListing[]> {
  const answer = await keys<KeyRotation>(settings, 'rotate', ...args);
  if (!answer.changed || answer.reason !== null) throw new Error(`nothing was changed: ${answer.reason}`);
  return answer.keys;
}

const statuses = (list: KeyListing[]) => list.map(({ status }) => status);
const kidOf = (list: KeyListing[], status: string) => list.find((key) => key.status === status)?.kid ?? '';

async function kidsServed({ url }: ServerProcess): Promise<string[]> {
  const answer = await fetch(`${url}/.well-known/jwks.json`);
  const { keys } = (await answer.json()) as { keys: { kid: string }[] };
  return keys.map(({ kid }) => kid);
}

/** One clear line, exit code 1, and nothing on standard output. */
function refuses(t: Test, ended: Ended, line: RegExp): void {
  t.equal(ended.code, 1);
  t.equal(ended.stdout, '');
  t.match(ended.stderr, line);
  t.equal(ended.stderr.trim().split('\n').length, 1, 'in one line');
}

t.test('on PostgreSQL', async (t) => {
  const place = await createPlace(t);

  t.same(await keys(place, 'list'), [], 'no server ran yet, so there is no key');
  const [first, ...others] = await rotated(place);
  t.same(others, []);
  t.match(first, { status: 'pending', algorithm: 'ES256', activated_at: null, delete_after: null });
  const server = await startServer(t, place);
  t.match(await list(place), [{ kid: first?.kid, status: 'active', activated_at: /Z$/ }]);
  t.same(await kidsServed(server), [first?.kid], 'a server that starts puts it in force');
  await server.stop();

  const two = await rotate(place);
  t.same(statuses(two), ['active', 'pending'], 'the next key is public and waits');
  t.same(await rotate(place), two, 'asking again makes no third one');
  t.match(await keys(place, 'rotate'), { changed: false, reason: /^the next key, /, keys: two });

  const three = await rotated(place, '--now');
  t.same(statuses(three), ['retired', 'active'], 'the key that was waiting signs at once');
  t.equal(kidOf(three, 'active'), kidOf(two, 'pending'));
  t.match(three[0], { kid: first?.kid, retired_at: /Z$/, delete_after: /Z$/ });

  const leaked = kidOf(three, 'active');
  const four = await rotated(place, '--now', '--revoke', leaked);
  t.same(statuses(four), ['retired', 'revoked', 'active']);
  t.equal(kidOf(four, 'revoked'), leaked);
  t.same(await list(place), four);

  t.same(await rotate(place, { now: true, revoke: leaked }), four, 'a second time changes nothing');
  const five = await rotated(place, '--revoke', first?.kid ?? '');
  t.same(statuses(five), ['revoked', 'revoked', 'active'], '--revoke alone means --now');
  t.equal(kidOf(five, 'active'), kidOf(four, 'active'), 'the active key did not leak, and stays');
});

t.test('tables are for people, and nothing printed is a secret', async (t) => {
  const place = await createPlace(t);
  const runs = [
    await doorward(place, 'keys', 'rotate', '--now'),
    await doorward(place, 'keys', 'list'),
    await doorward(place, 'keys', 'rewrap'),
    await doorward(place, 'keys', 'rotate', '--json'),
  ];
  const [rotated, listed, rewrapped] = runs.map(({ stdout }) => stdout);
  t.equal(rotated, listed);
  const again = await doorward(place, 'keys', 'rotate');
  t.match(again, { code: 0, stderr: '' });
  t.match(
    again.stdout,
    /^KID .*\n\nNothing was changed: the next key, \S{43}, was published at \S+Z, and signs from \S+Z on\. To change keys at once: doorward keys rotate --now\n$/s,
  );
  t.match(
    listed,
    /^KID +STATUS +ALG +PUBLISHED +SIGNS SINCE\n[\w-]{43} {2}active {3}ES256 {2}\S+Z {2}\S+Z\n$/,
  );
  t.equal(rewrapped, 'Put under the current KEY_ENCRYPTION_KEY: no keys\n');

  const rows = await runSql<{ secret: Buffer }>(
    place.DATABASE_URL,
    'select encrypted_private_key as secret from signing_keys',
  );
  t.equal(rows.length, 2);
  const secrets = [place.KEY_ENCRYPTION_KEY, place.DATABASE_URL, 'PRIVATE KEY', '"d"'];
  for (const { secret } of rows) secrets.push(secret.toString('hex'), secret.toString('base64'));
  for (const { code, stdout, stderr } of runs) {
    t.equal(code, 0);
    t.equal(stderr, '');
    t.notOk(secrets.some((secret) => stdout.includes(secret)));
  }
});

t.test('what cannot be done is told in one line and changes nothing', async (t) => {
  const place = await createPlace(t);
  const before = await rotate(place);
  // A thumbprint may start like an option.
  for (const kid of ['no-such-key', '-no-such-key']) {
    const unknown = await doorward(place, 'keys', 'rotate', '--now', '--revoke', kid);
    refuses(t, unknown, new RegExp(`^There is no signing key ${kid}\\.$`, 'm'));
  }
  const wrong = { ...place, KEY_ENCRYPTION_KEY: newKey() };
  const notOpened = /^KEY_ENCRYPTION_KEY does not open signing key /;
  refuses(t, await doorward(wrong, 'keys', 'rotate', '--now'), notOpened);
  await t.rejects(rotate(wrong), notOpened);
  await t.rejects(rewrap(wrong), notOpened);
  t.same(await list(wrong), before, 'looking needs no key');

  const unreachable = { ...place, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
  refuses(
    t,
    await doorward(unreachable, 'keys', 'list'),
    /^PostgreSQL at 127\.0\.0\.1:1 \(database "none", user "nobody"\): no server accepts connections there\./,
  );
  const empty = await createPlace(t);
  await runSql(empty.DATABASE_URL, 'drop table signing_keys');
  refuses(t, await doorward(empty, 'keys', 'list'), /doorward migrate/);
  t.equal((await doorward(place, 'keys', 'forge')).code, 1);
});

t.test('the key-encryption key is changed without losing a signing key', async (t) => {
  const place = await createPlace(t);
  const { KEY_ENCRYPTION_KEY: a, ...rest } = place;
  const b = newKey();
  const withA = { ...rest, KEY_ENCRYPTION_KEY: a };
  const withB = { ...rest, KEY_ENCRYPTION_KEY: b };
  const withBoth = { ...withB, KEY_ENCRYPTION_KEY_PREVIOUS: a };

  const server = await startServer(t, withA);
  await rotated(withA, '--now');
  const before = await rotated(withA);
  t.same(statuses(before), ['retired', 'active', 'pending']);
  await server.stop();

  const between = await startServer(t, withBoth);
  t.same(
    await kidsServed(between),
    before.map(({ kid }) => kid),
  );
  const rewrapped = await doorward(withBoth, 'keys', 'rewrap');
  t.match(rewrapped, { code: 0, stdout: 'Put under the current KEY_ENCRYPTION_KEY: 3 keys\n', stderr: '' });
  t.same(await rewrap(withBoth), [], 'a second time there is nothing left to do');
  await between.stop();

  const after = await startServer(t, withB);
  t.same(
    await kidsServed(after),
    before.map(({ kid }) => kid),
    'the new one alone is enough now',
  );
  await t.rejects(startServer(t, withA), /does not open signing key/, 'and the old one is worth nothing');
  t.same(await list(withB), before);
});

t.test('beside a running embedded server, and on its folder afterwards', async (t) => {
  const folder = shortFolder(t);
  const settings = { EMBEDDED: 'true', DATA_DIR: folder };
  const socket = join(folder, COMMAND_SOCKET);
  const server = await startServer(t, settings);
  await eventually(() => statSync(socket));
  t.ok(statSync(socket).isSocket());
  t.equal(statSync(socket).mode & 0o777, 0o600, 'for its owner alone');

  const first = await list(settings);
  t.same(statuses(first), ['active']);
  t.same(await kidsServed(server), [kidOf(first, 'active')]);

  const replaced = await rotated(settings, '--revoke', kidOf(first, 'active'));
  t.same(statuses(replaced), ['revoked', 'active']);
  t.same(await kidsServed(server), [kidOf(replaced, 'active')], 'in force when the command ends');
  refuses(
    t,
    await doorward(settings, 'keys', 'rotate', '--revoke', 'no-such-key'),
    /^There is no signing key no-such-key\.$/m,
  );
  t.equal(
    (await doorward(settings, 'keys', 'rewrap')).stdout,
    'Put under the current KEY_ENCRYPTION_KEY: no keys\n',
  );

  await server.stop('SIGKILL');
  t.ok(existsSync(socket), 'a killed server leaves its socket behind');
  t.same(await keys(settings, 'list'), replaced);
  const pending = await rotated(settings);
  t.same(statuses(pending), ['revoked', 'active', 'pending']);
  const { stdout: table } = await doorward(settings, 'keys', 'list');
  t.match(table, / {2}pending {2}ES256 {2}\S+Z\n$/, 'a key that does not sign yet has no such date');

  const again = await startServer(t, settings);
  t.same(await eventually(() => list(settings)), pending);
  t.same(
    await kidsServed(again),
    pending.slice(1).map(({ kid }) => kid),
  );
  await again.stop();
  t.notOk(existsSync(socket), 'one that was stopped takes it along');

  const keyFile = join(folder, 'key-encryption-key');
  renameSync(keyFile, `${keyFile}.away`);
  await t.rejects(startServer(t, settings), /key-encryption-key is gone/, 'no server without its key');
  await t.rejects(rotate(settings), /key-encryption-key is gone/);
  t.notOk(existsSync(keyFile), 'and no new key in its place');
  const given = { ...settings, KEY_ENCRYPTION_KEY: readFileSync(`${keyFile}.away`, 'utf8').trim() };
  t.same(await rewrap(given), [], 'it may as well come from the environment');
});

t.test('a data folder too deep for a socket serves all the same', async (t) => {
  const folder = join(shortFolder(t), 'x'.repeat(120));
  const settings = { EMBEDDED: 'true', DATA_DIR: folder };
  const server = await startServer(t, settings);
  await eventually(() => {
    if (!server.output().includes('only while this server is stopped')) throw new Error('no warning');
  });
  t.match(server.output(), /"level":40.*a shorter DATA_DIR/);
  t.notMatch(server.output(), /"level":50/, 'which is no error');
  t.equal((await kidsServed(server)).length, 1);
  const beside = await doorward(settings, 'keys', 'list');
  refuses(t, beside, new RegExp(`in use by another Doorward \\(process ${server.pid}\\)`));
  await server.stop();
  t.same(statuses(await list(settings)), ['active']);
});

t.test('makes no database where there is none', async (t) => {
  const folder = join(shortFolder(t), 'mistyped');
  const settings = { EMBEDDED: 'true', DATA_DIR: folder };
  refuses(t, await doorward(settings, 'keys', 'list'), /mistyped holds no database: set DATA_DIR, or /);
  await t.rejects(rotate(settings), /holds no database/);
  await t.rejects(rewrap(settings), /holds no database/);
  t.notOk(existsSync(folder));
});

t.test('tells whoever may not use the folder or the socket', async (t) => {
  const error = Object.assign(new Error('connect EACCES /data/doorward.sock'), { code: 'EACCES' });
  t.match(explainError(error, {}), /^connect EACCES \/data\/doorward\.sock: .*the user that/);
});
