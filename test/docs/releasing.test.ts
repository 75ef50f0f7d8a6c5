import { existsSync, readFileSync } from 'node:fs';
import { test } from 'tap';
import { readDockerfile } from '../support/image/dockerfile.ts';
import { captures, readPage } from './pages.ts';

const page = readPage('docs/releasing.md');
const { scripts, publishConfig, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));

test('the scripts of the check-list exist', async (t) => {
  const named = captures(page, /`npm run ([\w:-]+)/g);
  t.ok(named.length >= 3);
  for (const name of named) t.ok(name in scripts, name);
  t.ok(existsSync('.ci/run'));
  t.match(scripts.release, /npm publish --workspaces --include-workspace-root/);
});

test('the Dockerfile takes each argument that the page gives to a build, and shows it in a label', async (t) => {
  const { args, stages } = readDockerfile('Dockerfile');
  const steps = stages.find(({ name }) => name === 'server')?.steps ?? [];
  const labels = steps.filter(({ keyword }) => keyword === 'LABEL').map(({ text }) => text);
  const known = [...args, ...steps.filter(({ keyword }) => keyword === 'ARG')];
  const names = known.flatMap(({ pairs }) => pairs.map(({ name }) => name));
  const given = captures(page, /--build-arg (\w+)=/g);
  t.strictSame(given, ['NODE_IMAGE', 'VERSION', 'REVISION', 'SOURCE']);
  for (const name of given) {
    t.ok(names.includes(name), name);
    t.match(labels.join(''), `"\${${name}}"`);
  }
});

test('the page names the base image of the Dockerfile, and packages are published with provenance', async (t) => {
  for (const tag of captures(page, /\bnode:(\d+\.\d+\.\d+)/g)) t.equal(tag, devDependencies.node);
  for (const path of ['verifier', 'browser'])
    t.equal(JSON.parse(readFileSync(`packages/${path}/package.json`, 'utf8')).publishConfig.provenance, true);
  t.equal(publishConfig.provenance, true);
});
