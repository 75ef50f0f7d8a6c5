import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { AppError } from '../../src/core/errors.ts';
import type { Log } from '../../src/core/log.ts';
import { KeyEncryptionKeyError } from '../../src/keys/key-material.ts';
import { callCommand, serveCommands } from '../../src/operator/command-socket.ts';
import { explainError } from '../../src/operator/explain-error.ts';
import { shortFolder } from '../support/processes.ts';

const silent: Log = { debug: () => {}, warn: () => {}, error: () => {} };
const path = join(shortFolder(t), 'test.sock');

t.test('runs a command with its arguments, for the owner of the socket alone', async (t) => {
  const stop = await serveCommands(path, { echo: async (args) => args }, silent);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(await callCommand(path, 'echo', { kid: 'a' }), { result: { kid: 'a' } });
  await stop();
  t.equal(await callCommand(path, 'echo', {}), null, 'and nobody answers once it is stopped');
});

t.test('any JSON comes through: each command judges it', async (t) => {
  t.teardown(await serveCommands(path, { count: async (args) => Object.keys(Object(args)).length }, silent));
  const args = JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":{}}}');
  t.same(await callCommand(path, 'count', args), { result: 2 });
});

t.test("tells the operator in the server's words what went wrong, the cause included", async (t) => {
  const errors = {
    known: new AppError('not_found', { detail: 'There is no such key.' }),
    sealed: new KeyEncryptionKeyError('KEY_ENCRYPTION_KEY does not open it'),
    bug: new TypeError('a bug'),
  };
  const fail = (error: Error) => () => Promise.reject(error);
  const commands = Object.fromEntries(Object.entries(errors).map(([name, error]) => [name, fail(error)]));
  const logged: unknown[] = [];
  t.teardown(
    await serveCommands(path, commands, {
      ...silent,
      error: ({ err }: { err?: unknown }) => logged.push(err),
    }),
  );
  await t.rejects(callCommand(path, 'known', {}), { code: 'not_found', detail: 'There is no such key.' });
  await t.rejects(callCommand(path, 'sealed', {}), { message: 'KEY_ENCRYPTION_KEY does not open it' });
  await t.rejects(callCommand(path, 'bug', {}), { message: /TypeError: a bug/ });
  await t.rejects(callCommand(path, 'newer', {}), { code: 'not_found', detail: /another version/ });
  t.strictSame(logged, [errors.sealed, errors.bug], 'and the log of the server what was unexpected');
});

t.test('an answer that is unknown here is told as what a server of another version said', async (t) => {
  const answers = [
    { code: 'from_the_future', detail: 'The key is on the moon.' },
    { code: 'toString', status: 418 },
    {},
    null,
    'no JSON',
  ];
  for (const answer of answers) {
    const server = createServer((_call, response) => {
      response.writeHead(418).end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    }).listen(path);
    await once(server, 'listening');
    const error = await callCommand(path, 'ping', {}).catch((thrown: unknown) => thrown);
    t.match(error, { name: 'CommandLineError', message: /another version: restart it\. / });
    t.match(explainError(error, {}), /The key is on the moon\.$|It answers 418, which is unknown here\.$/);
    await new Promise((resolve) => server.close(resolve));
  }
});

t.test('takes the place of a socket that a killed process left', async (t) => {
  const stop = await serveCommands(path, {}, silent);
  t.teardown(stop);
  const again = await serveCommands(path, { ping: async () => 'pong' }, silent);
  t.teardown(again);
  t.same(await callCommand(path, 'ping', {}), { result: 'pong' });
});

t.test('nobody can listen at a path that is too long, and so nobody answers there', async (t) => {
  const long = `${path}${'x'.repeat(200)}`;
  await t.rejects(serveCommands(long, {}, silent));
  t.equal(await callCommand(long, 'ping', {}), null);
});

t.test('trouble with the socket itself is not taken for nobody listening', async (t) => {
  t.teardown(await serveCommands(path, {}, silent));
  await t.rejects(callCommand(join(path, 'below-a-file'), 'ping', {}), { code: 'ENOTDIR' });
});
