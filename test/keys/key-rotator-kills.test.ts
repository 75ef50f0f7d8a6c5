import t from 'tap';
import { playAll } from '../support/key-deaths.ts';

// Seventeen processes, one after the other.
t.setTimeout(400_000);

t.test('a process may be killed anywhere in a rotation', async (t) => {
  const ends = await playAll(t, (victim) => victim.kill('SIGKILL'));
  t.same(new Set(ends), new Set(['SIGKILL']));
});
