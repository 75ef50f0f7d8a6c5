import t from 'tap';
import { playAll } from '../support/key-deaths.ts';

// Seventeen processes, one after the other.
t.setTimeout(400_000);

t.test('a connection may be lost anywhere in a rotation', async (t) => {
  const ends = await playAll(t, (_victim, backend, { sql }) => sql`select pg_terminate_backend(${backend})`);
  t.same(new Set(ends), new Set([0]), 'the process survives');
});
