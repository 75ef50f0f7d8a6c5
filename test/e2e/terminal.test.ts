import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { createPlace, quickSettings } from '../helper.ts';
import { startServer, TestProcess } from './server-process.ts';

/** util-linux has it; it runs a command in a terminal of its own. */
const script = '/usr/bin/script';
const skip = !existsSync(script) && `there is no ${script}`;

test('the log is JSON lines where nobody watches', async (t) => {
  const server = startServer(t, await createPlace(t));
  await server.says(/Its data is in/);
  for (const line of server.stdout.trim().split('\n')) {
    t.match(JSON.parse(line), { level: Number, time: Number, pid: server.pid, msg: String });
  }
  t.equal(await server.end('SIGINT'), 0);
});

test('the log is for people in a terminal, and Ctrl-C ends the server', { skip }, async (t) => {
  const server = `${process.execPath} ${fileURLToPath(new URL('../../src/server.ts', import.meta.url))}`;
  // The shell prints the server's exit code: that of `script` depends on which side closes the terminal first.
  const command = `trap : INT; ${server}; echo "It ended with $?."`;
  const env = { ...quickSettings, ...(await createPlace(t)), LOG_LEVEL: 'info', PORT: '0' };
  const terminal = new TestProcess(t, script, ['-qec', command, '/dev/null'], env);
  await terminal.says(/\[\d\d:\d\d:\d\d\].*INFO.*Doorward is at http:\/\/localhost/);
  await terminal.says(/Its data is in PostgreSQL/);
  t.notMatch(terminal.stdout, /"msg"|"pid"|hostname/);
  terminal.child.stdin?.write('\x03');
  t.equal((await terminal.says(/It ended with (\d+)\./))[1], '0', terminal.stdout);
});
