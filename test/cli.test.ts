import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import t from 'tap';
import { runCli } from '../src/cli.ts';
import { loadConfig } from '../src/config/config.ts';
import { settingsEnvExample, settingsMarkdown, settingsText } from '../src/config/config-docs.ts';

function doorward(...args: string[]) {
  return spawnSync(process.execPath, ['src/cli.ts', ...args], { encoding: 'utf8' });
}

/** Runs in this process a program whose one command, `fail`, ends with an error. */
async function runFailing(fail: () => unknown): Promise<void> {
  const addFail = (program: Command) => void program.command('fail').action(() => void fail());
  await runCli(['node', 'doorward', 'fail'], [addFail]);
}

t.test('settings are printed for people, as Markdown or as .env.example', async (t) => {
  t.equal(doorward('settings').stdout, settingsText());
  t.equal(doorward('settings', '--markdown').stdout, settingsMarkdown());
  t.equal(doorward('settings', '--env-example').stdout, settingsEnvExample());
});

t.test('--version prints the version of the package', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  t.match(doorward('--version'), { status: 0, stdout: `${version}\n`, stderr: '' });
});

t.test('two forms at once are refused', async (t) => {
  const { status, stderr } = doorward('settings', '--markdown', '--env-example');
  t.equal(status, 1);
  t.match(stderr, /cannot be used with/);
});

t.test('bad settings are told on stderr, line by line, and fail the command', async (t) => {
  const exitCode = process.exitCode;
  t.teardown(() => {
    process.exitCode = exitCode;
  });
  const written = t.capture(process.stderr, 'write', () => true);
  await runFailing(() => loadConfig({ PORT: 'x', EMBEDDED: 'x' }));
  t.equal(process.exitCode, 1);
  t.match(written(), [{ args: [/^These settings cannot be used:\nPORT: .*\nEMBEDDED: .*\n$/] }]);
});

t.test('can be run as a program', async (t) => {
  accessSync('src/cli.ts', constants.X_OK);
  t.ok(readFileSync('src/cli.ts', 'utf8').startsWith('#!/usr/bin/env node\n'));
});
