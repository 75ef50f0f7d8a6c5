import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { test } from 'tap';
import { type Finding, tableOf, verdictOf } from '../../bench/revocations/finding.ts';

const run = promisify(execFile);
const MAX_MS = 240_000;

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
  const { stdout } = await run(process.execPath, ['bench/revocations.ts', '--short'], {
    env: { PATH: process.env.PATH },
  });
  for (const goal of ['G1', 'G3', 'G4', 'G5', 'G6'])
    t.match(stdout, new RegExp(`^${goal} .*at most`, 'm'), `${goal} is in the table`);
  t.notMatch(stdout, /NaN|Infinity/, 'every figure is known');
  t.match(stdout, /^G1 .*not refused in time .* 0 of \d+ +met$/m, 'all sign-outs are seen');
  const nobody = /^G3 .*: (?:live sessions refused|revoked ones passed) .* 0 of \d+ +met$/gm;
  t.equal(stdout.match(nobody)?.length, 4, 'each is judged rightly, by verifier and replica');
  t.match(stdout, /^G6 .*streams that ended .* met$/m, 'all streams stay open');
});

test('says which goals there are', async (t) => {
  await t.rejects(run(process.execPath, ['bench/revocations.ts', '--only', 'G2']), {
    message: /some of G1,G3,G4,G5,G6/,
  });
});
