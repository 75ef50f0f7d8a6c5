import t from 'tap';
import { failuresOf } from './failures.ts';

t.test('lists what failed at any depth, with its diagnostics, and nothing else', async (t) => {
  const inner = '    not ok 2 - inner\n      ---\n      diff: |\n        --- expected\n      ...';
  const outer = 'not ok 1 - outer # time=5ms';
  const tap = `TAP version 14\n# Subtest: outer\n    ok 1 - not ok to say\n${inner}\n    1..2\n${outer}\nok 2 - late\n1..2\n`;
  t.strictSame(failuresOf(tap), [inner, outer]);
});

t.test('finds nothing in a file that passed, or that left something to do', async (t) => {
  t.strictSame(
    failuresOf('TAP version 14\nok 1 - a\nnot ok 2 - b # TODO\nnot ok 3 - c # SKIP later\n1..3\n'),
    [],
  );
});

t.test('a file that was ended in the middle failed', async (t) => {
  t.strictSame(failuresOf('TAP version 14\nok 1 - a\n    1..2\n'), [
    'not ok: ended before its last assertion',
  ]);
});
