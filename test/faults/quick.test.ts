import t from 'tap';
import { halfDeadConnections, postgresKilled } from './postgres-faults.ts';
import { playAll, type Scenario, tableOf } from './probe.ts';
import { createRaces } from './races.ts';
import { logoutWhileOneIsCutOff, poisoned, redisFlushed, redisFrozen } from './redis-faults.ts';
import { createWorld } from './world.ts';

/**
 * Who is served, who is refused, what is never lost and that all comes back by itself is held as strictly as by
 * `npm run test:faults`, which plays the rest too. How long it may take is not: other tests run beside these.
 */
const PATIENCE = 3;
const MAX_MS = 300_000;

const quick: Scenario[] = [
  redisFrozen,
  redisFlushed,
  poisoned,
  logoutWhileOneIsCutOff,
  postgresKilled,
  halfDeadConnections,
  ...createRaces(30),
];

t.setTimeout(MAX_MS);
t.test('serves the living, refuses the signed out and recovers by itself when parts break', async (t) => {
  const world = await createWorld(t, 2, PATIENCE);
  t.comment(tableOf(await playAll(t, world, quick)).join('\n'));
});
