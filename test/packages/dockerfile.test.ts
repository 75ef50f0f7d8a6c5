import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Test, test } from 'tap';
import { buildImages } from '../support/image/build-image.ts';
import { readDockerfile } from '../support/image/dockerfile.ts';
import { contextFiles, isSeen, parseIgnore } from '../support/image/dockerignore.ts';
import { emptyProject } from './packed.ts';

const ours = parseIgnore(readFileSync('.dockerignore', 'utf8'));

/** A folder with these files. */
function folderOf(t: Test, files: Record<string, string>): string {
  const folder = emptyProject(t, {});
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

test('the build sees the sources, and no secret, test, document or result of an earlier build', async (t) => {
  const seen = [
    'LICENSE',
    'bin/doorward.cjs',
    'examples/shop/shop.js',
    'packages/browser/README.md',
    'src/a/b.ts',
  ];
  const hidden = [
    ...[
      '.env',
      '.git/config',
      '.npmrc',
      'data/key-encryption-key',
      'docs/a.md',
      'test/a.test.ts',
      'bench/run.ts',
    ],
    ...[
      'node_modules/a/b.js',
      'packages/browser/dist/index.js',
      'examples/shop/node_modules/a/b.js',
      'sbom.json',
    ],
  ];
  const folder = folderOf(t, Object.fromEntries([...seen, ...hidden].map((path) => [path, ''])));
  t.strictSame(contextFiles(folder, ours), [...seen, 'package.json'].sort());
});

test('the base images have exact tags, which a build can replace by digests', async (t) => {
  const { args, stages } = readDockerfile('Dockerfile');
  const bases = Object.fromEntries(
    args.flatMap(({ pairs }) => pairs.map(({ name, value }) => [name, value])),
  );
  t.match(bases, { NODE_IMAGE: /^node:\d+\.\d+\.\d+-slim$/, NGINX_IMAGE: /^nginx:\d+\.\d+\.\d+-alpine$/ });
  const names = stages.map(({ name }) => name);
  for (const { name, from } of stages)
    t.ok(/^\$\{(NODE|NGINX)_IMAGE\}$/.test(from) || names.includes(from), `${name} is from ${from}`);
  t.equal(names.at(-1), 'server', 'the default');
});

test('the images have the very Node that the tests run on, of a line with long-term support', async (t) => {
  const [, version = ''] = /NODE_IMAGE=node:([\d.]+)/.exec(readFileSync('Dockerfile', 'utf8')) ?? [];
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  t.equal(version, devDependencies.node);
  t.equal(`v${version}`, process.version);
  t.equal(Number.parseInt(version, 10) % 2, 0, 'even lines have it');
});

test('rules of .dockerignore: the last one that covers a path decides', async (t) => {
  const cases: [rules: string[], path: string, seen: boolean][] = [
    [[], 'a', true],
    [['a'], 'a', false],
    [['a'], 'a/b/c', false],
    [['a'], 'b/a', true],
    [['/a/'], 'a/b', false],
    [['*'], '.env', false],
    [['*/b'], 'a/b', false],
    [['*/b'], 'a/c/b', true],
    [['*.md', '!README.md'], 'README.md', true],
    [['!README.md', '*.md'], 'README.md', false],
    [['*', '!a', 'a/secret'], 'a/b', true],
    [['*', '!a', 'a/secret'], 'a/secret/key', false],
    [['**/node_modules'], 'a/b/node_modules/c', false],
    [['**/node_modules'], 'node_modules/c', false],
    [['**/node_modules'], 'node_modules_of_mine', true],
    [['a?c'], 'abc', false],
    [['a?c'], 'a/c', true],
    [['a.c'], 'abc', true],
    [['[ab].txt'], 'b.txt', false],
    [['# a', 'a'], 'a', false],
    [['  a  '], 'a', false],
  ];
  for (const [rules, path, seen] of cases)
    t.equal(isSeen(parseIgnore(rules.join('\n')), path), seen, `${rules.join(' ')}: ${path}`);
});

test('what a build could not do, or what this one does not know, is an error', async (t) => {
  const cases: [steps: string, error: RegExp][] = [
    ['ADD a b', /ADD is an instruction/],
    ['COPY --link a b', /COPY --link is not known/],
    ['COPY secret ./', /COPY secret: the build does not see it/],
    ['COPY --from=two a b', /there is no such stage/],
    ['CMD node server.js', /runs under a shell/],
    ['USER node', /not two numbers/],
    ['RUN --network=none true', /RUN --network is not known/],
    ['RUN npm ci && npm cache clean --force', /caches/],
    ['RUN echo hello && exit 3', /fails:\nhello/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: not JavaScript's
    ['ENV A=${B:-c}', /is a form of variables/],
  ];
  for (const [steps, error] of cases) {
    const folder = folderOf(t, {
      Dockerfile: `FROM nginx:1.2.3-alpine AS one\n${steps}\n`,
      '.dockerignore': 'secret',
      secret: 'x',
      a: 'x',
    });
    await t.rejects(buildImages(folder, join(folder, '.build')), error, steps);
  }
  const floating = folderOf(t, { Dockerfile: 'FROM node:latest AS one\n', '.dockerignore': '' });
  await t.rejects(buildImages(floating, join(floating, '.build')), /no exact tag/);
});
