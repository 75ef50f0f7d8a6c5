import t from 'tap';
import { databaseKilledForDoors } from './door-faults.ts';
import { halfDeadConnections, postgresKilled } from './postgres-faults.ts';
import { playAll, type Scenario, tableOf } from './probe.ts';
import { createRaces } from './races.ts';
import { logoutWhileOneIsCutOff, poisoned, redisFlushed, redisFrozen } from './redis-faults.ts';
import { createRevocationStorm } from './revocation-faults.ts';
import { createWorld } from './world.ts';

/**
 * Which requests are served or refused, that nothing is lost, and the recovery are checked as strictly as by
 * `npm run test:faults`, which runs the other scenarios too. Times are not, because other tests run at the same time.
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
  databaseKilledForDoors,
  createRevocationStorm({ revocations: 300, seed: 1, faultMs: 1_000, calmMs: 500, clients: 4, pauseMs: 100 }),
];

t.setTimeout(MAX_MS);
t.test('serves the living, refuses the signed out and recovers by itself when parts break', async (t) => {
  const world = await createWorld(t, 2, PATIENCE);
  t.comment(tableOf(await playAll(t, world, quick)).join('\n'));
});
