import { test } from 'tap';
import { type Finding, tableOf, verdictOf } from '../../bench/revocations/finding.ts';
import { runToEnd, runWithin } from '../support/processes.ts';

const MAX_MS = 240_000;
/** Coverage is asked of src/ alone, and what this run needs of that has tests of its own. */
const uncovered = { NODE_V8_COVERAGE: '' };

const finding: Finding = { goal: 'G4', what: 'a beat', most: 120, found: 99.96, unit: 'bytes' };

test('a figure has met its goal at the bound, and has missed it above and when it is not known', (t) => {
  t.equal(verdictOf({ most: 120, found: 120 }), 'met');
  t.equal(verdictOf({ most: 120, found: 120.1 }), 'missed');
  t.equal(verdictOf({ most: 0, found: Number.NaN }), 'missed');
  t.equal(verdictOf({ most: null, found: 5 }), '-');
  t.end();
});

test('the table has a line for each figure, with its goal and its verdict', (t) => {
  t.equal(
    tableOf([finding, { ...finding, what: 'a window', most: null, found: 0.12345 }]),
    [
      'goal  what      aim                found        verdict',
      'G4    a beat    at most 120 bytes  100 bytes    met',
      'G4    a window                     0.123 bytes  -',
    ].join('\n'),
  );
  t.end();
});

test('the benchmark of the feed measures each of its goals', { timeout: MAX_MS }, async (t) => {
  const { code, stdout, stderr } = await runWithin(MAX_MS, uncovered, 'bench/revocations.ts', '--short');
  t.equal(code, 0, stderr);
  for (const goal of ['G1', 'G3', 'G4', 'G5', 'G6'])
    t.match(stdout, new RegExp(`^${goal} .*at most`, 'm'), `${goal} is in the table`);
  t.notMatch(stdout, /NaN|Infinity/, 'every figure is known');
  t.match(stdout, /^G1 .*not refused in time .* 0 of \d+ +met$/m, 'all sign-outs are seen');
  const nobody = /^G3 .*: (?:live sessions refused|revoked ones passed) .* 0 of \d+ +met$/gm;
  t.equal(stdout.match(nobody)?.length, 4, 'each is judged rightly, by verifier and replica');
  t.match(stdout, /^G6 .*streams that ended .* met$/m, 'all streams stay open');
});

test('says which goals there are', async (t) => {
  const { code, stderr } = await runToEnd(uncovered, 'bench/revocations.ts', '--only', 'G2');
  t.equal(code, 1);
  t.match(stderr, /some of G1,G3,G4,G5,G6/);
});
