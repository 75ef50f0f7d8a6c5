import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Version } from '@cyclonedx/cyclonedx-library/Spec';
import { JsonStrictValidator } from '@cyclonedx/cyclonedx-library/Validation';
import { test } from 'tap';
import { refusedPackages } from '../../release/licences.ts';
import type { Sbom } from '../../release/sbom.ts';
import { emptyProject } from './packed.ts';

const ours = JSON.parse(readFileSync('package.json', 'utf8'));

/** Runs a program of release/ as npm would. */
function run(program: string, ...args: string[]) {
  return spawnSync(process.execPath, [`release/${program}`, ...args], { encoding: 'utf8' });
}

test('the bill of materials keeps the rules of CycloneDX and holds what the server needs, nothing else', async (t) => {
  const file = join(emptyProject(t, {}), 'sbom.json');
  const { status, stderr } = run('sbom.ts', file);
  t.equal(status, 0, stderr);
  const text = readFileSync(file, 'utf8');
  const sbom = JSON.parse(text) as Sbom;
  t.equal(await new JsonStrictValidator(sbom.specVersion as Version).validate(text), null);
  t.match(sbom.metadata.component, { name: 'doorward', version: ours.version });
  const named = new Set(sbom.components.map(({ name, version }) => `${name}@${version}`));
  for (const [name, wanted] of Object.entries(ours.dependencies)) t.ok(named.has(`${name}@${wanted}`), name);
  const names = new Set(sbom.components.map(({ name }) => name));
  // Packages of packages, of which our development needs some as well.
  for (const name of ['fast-jwt', 'sonic-boom', 'ajv']) t.ok(names.has(name), name);
  for (const name of ['typescript', 'tap', 'esbuild', 'express', 'react']) t.notOk(names.has(name), name);
  t.notMatch(text, /file:|localhost|"\/[a-z]+\//, 'nothing of this machine');
});

test('a document that breaks the rules of CycloneDX is found out', async (t) => {
  const broken = JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.5', components: [{ name: 'x' }] });
  t.not(await new JsonStrictValidator(Version.v1dot5).validate(broken), null);
});

test('the licence check passes for us, and names a package under the GPL', async (t) => {
  const passed = run('licences.ts');
  t.match(passed, { status: 0, stdout: /^The licences of all \d+ packages are allowed\n$/ });

  const dependencies = { copyleft: '1.0.0' };
  const project = { name: 'project', version: '1.0.0', dependencies };
  const folder = emptyProject(t, project);
  const licence = 'GPL-3.0-only';
  const packages = {
    '': project,
    'node_modules/copyleft': { version: '1.0.0', license: licence },
  };
  const lock = { ...project, lockfileVersion: 3, packages };
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock));
  const failed = run('licences.ts', folder);
  t.match(failed, {
    status: 1,
    stdout: '',
    stderr: `copyleft 1.0.0: ${licence} is not among the allowed licences\n`,
  });
});

test('the lock has the builds for other platforms too, or `npm ci` refuses it', (t) => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const names = new Set(Object.keys(lock.packages).map((path) => path.split('node_modules/').at(-1)));
  const wanted = Object.values<{ optionalDependencies?: object }>(lock.packages);
  const named = wanted.flatMap((of) => Object.keys(of.optionalDependencies ?? {}));
  t.strictSame(
    named.filter((name) => !names.has(name)),
    [],
  );
  t.end();
});

test('of a choice of licences one is enough; no licence, an unknown one, or an `AND` with another is refused', async (t) => {
  const component = (name: string, ...licenses: object[]) => ({ name, version: '1.0.0', purl: '', licenses });
  const components = [
    component('either', { expression: '(MIT OR GPL-3.0-only)' }),
    component('one', { license: { id: 'ISC' } }),
    component('both', { expression: 'MIT AND GPL-3.0-only' }),
    component('two', { license: { id: 'MIT' } }, { license: { id: 'AGPL-3.0-only' } }),
    component('free-text', { license: { name: 'SEE LICENSE IN FILE' } }),
    component('without'),
  ];
  const refused = refusedPackages({ components } as unknown as Sbom);
  t.strictSame(
    refused.map((line) => line.split(' ')[0]),
    ['both', 'two', 'free-text', 'without'],
  );
});
