import { existsSync, globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import t from 'tap';
import { settingNames } from '../../src/config/settings.ts';
import { captures, pages, proseOf, readPage } from './pages.ts';

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

/** What looks like a setting and is none: variables of Node, tests, benchmarks and examples, and words of the outbox. */
const OTHER_VARIABLES = [
  ...['TEST_DATABASE_URL', 'TEST_REDIS_URL', 'BENCH_EMAIL', 'BENCH_PASSWORD', 'SCHED_IDLE'],
  ...['NODE_EXTRA_CA_CERTS', 'SMTP_550', 'SMTP_535', 'HTTP_404', 'CERT_HAS_EXPIRED'],
  ...[
    'DOORWARD_URL',
    'DOORWARD_INTERNAL_URL',
    'CLIENT_SECRET',
    'WEBHOOK_SECRET',
    'PAGE_ROOT',
    'BROWSER_ROOT',
  ],
];

/** Variables of OpenTelemetry that its packages or our own code read. */
const openTelemetryVariables = globSync([
  'node_modules/@opentelemetry/{sdk-trace-base,resources,otlp-exporter-base}/build/src/**/*.js',
  'src/metrics/*.ts',
]).flatMap((path) => captures(readFileSync(path, 'utf8'), /\b(OTEL_[A-Z_]+)/g));

/** Names in the scenarios of `npm run test:faults`, which its arguments choose by. */
const scenarios = globSync('test/faults/*-faults.ts')
  .concat('test/faults/races.ts')
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');

for (const page of pages) {
  t.test(`${page} names settings, scripts, files and headings that exist`, async (t) => {
    const text = readPage(page);
    t.same(
      settingsIn(text).filter((name) => !isVariable(name)),
      [],
      'settings',
    );
    t.same(
      captures(text, /npm run (?:-s )?([\w:-]+)/g).filter((script) => !(script in scripts)),
      [],
      'scripts',
    );
    t.same(
      captures(text, /npm test ((?:test\/[\w./-]+ ?)+)/g)
        .flatMap((paths) => paths.trim().split(' '))
        .filter((path) => !existsSync(path)),
      [],
      'test files',
    );
    t.same(
      captures(text, /`((?:src|test|docs|bench|examples|drizzle)\/[\w./-]*)`/g).filter(
        (path) => !existsSync(path),
      ),
      [],
      'paths in backticks',
    );
    t.same(
      linksIn(text).filter((link) => !leadsSomewhere(page, link)),
      [],
      'links',
    );
    t.same(
      faultWordsIn(text).filter((word) => !scenarios.includes(word)),
      [],
      'scenarios of test:faults',
    );
  });
}

t.test('every page of docs/ is linked from docs/README.md or from the page of its folder', async (t) => {
  const reached = ['docs/README.md', 'docs/protect-a-service/README.md'].flatMap((page) =>
    linksIn(readPage(page)).map((link) => targetOf(page, link)),
  );
  t.same(
    globSync('docs/**/*.md').filter((page) => page !== 'docs/README.md' && !reached.includes(page)),
    [],
  );
});

t.test('the README is a door and not a house', async (t) => {
  t.ok(readPage('README.md').trimEnd().split('\n').length <= 180);
});

function linksIn(page: string): string[] {
  return captures(proseOf(page), /\]\(([^()\s]+)\)/g).filter((link) => !/^https?:/.test(link));
}

function targetOf(page: string, link: string): string {
  const [path = ''] = link.split('#');
  return path === '' ? page : posix.join(posix.dirname(page), path);
}

function leadsSomewhere(page: string, link: string): boolean {
  const target = targetOf(page, link);
  const [, anchor] = link.split('#');
  return existsSync(target) && (anchor === undefined || anchorsOf(target).includes(anchor));
}

/** The anchors that GitHub gives headings. */
function anchorsOf(page: string): string[] {
  return captures(proseOf(readPage(page)), /^#+ (.*)$/gm).map((title) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function settingsIn(text: string): string[] {
  return captures(text, /(?:`|export )([A-Z]\w*_\w+)(?==|`)/g);
}

function isVariable(name: string): boolean {
  const known = [...settingNames, ...OTHER_VARIABLES, ...openTelemetryVariables, 'FOO'];
  // A setting may itself end with _FILE.
  return known.includes(name) || known.includes(name.replace(/_FILE$/, ''));
}

/** Words separated by spaces, or in quotes. */
function faultWordsIn(text: string): string[] {
  return captures(text, /npm run test:faults -- ([^`\n]+)/g).flatMap((words) =>
    (words.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", '')),
  );
}
