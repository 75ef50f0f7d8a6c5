import { statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AppError } from '../../src/core/errors.ts';
import { KeyEncryptionKeyError } from '../../src/keys/key-material.ts';
import { callCommand, serveCommands } from '../../src/operator/command-socket.ts';
import { shortFolder } from '../support/processes.ts';

const path = join(shortFolder(t), 'test.sock');

t.test('runs a command with its arguments, for the owner of the socket alone', async (t) => {
  const stop = await serveCommands(path, { echo: async (args) => args });
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(await callCommand(path, 'echo', { kid: 'a' }), { result: { kid: 'a' } });
  await stop();
  t.equal(await callCommand(path, 'echo', {}), null, 'and nobody answers once it is stopped');
});

t.test("tells the operator in the server's words what went wrong, the cause included", async (t) => {
  const errors = {
    known: new AppError('not_found', { detail: 'There is no such key.' }),
    sealed: new KeyEncryptionKeyError('KEY_ENCRYPTION_KEY does not open it'),
    bug: new TypeError('a bug'),
  };
  const fail = (error: Error) => () => Promise.reject(error);
  const commands = Object.fromEntries(Object.entries(errors).map(([name, error]) => [name, fail(error)]));
  t.teardown(await serveCommands(path, commands));
  await t.rejects(callCommand(path, 'known', {}), { code: 'not_found', detail: 'There is no such key.' });
  await t.rejects(callCommand(path, 'sealed', {}), { message: 'KEY_ENCRYPTION_KEY does not open it' });
  await t.rejects(callCommand(path, 'bug', {}), { message: /TypeError: a bug/ });
  await t.rejects(callCommand(path, 'newer', {}), { code: 'not_found', detail: /another version/ });
});

t.test('takes the place of a socket that a killed process left', async (t) => {
  const stop = await serveCommands(path, {});
  t.teardown(stop);
  const again = await serveCommands(path, { ping: async () => 'pong' });
  t.teardown(again);
  t.same(await callCommand(path, 'ping', {}), { result: 'pong' });
});

t.test('nobody can listen at a path that is too long, and so nobody answers there', async (t) => {
  const long = `${path}${'x'.repeat(200)}`;
  await t.rejects(serveCommands(long, {}));
  t.equal(await callCommand(long, 'ping', {}), null);
});

t.test('trouble with the socket itself is not taken for nobody listening', async (t) => {
  t.teardown(await serveCommands(path, {}));
  await t.rejects(callCommand(join(path, 'below-a-file'), 'ping', {}), { code: 'ENOTDIR' });
});
