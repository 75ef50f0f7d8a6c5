/**
 * `npm run test:faults`: breaks PostgreSQL, Redis and the network in many ways under three real server processes,
 * prints the requests, the answers and the demands as one table, and ends with 1 if anything was wrong.
 *
 * With words as arguments, only scenarios run that have one of them in their name: `REVOCATIONS=100000 npm run test:faults --
 * sign-outs` is the long run of the revocation feed, and SEED draws other faults.
 */
import t from 'tap';
import { doorFaults } from './door-faults.ts';
import { measureLatency } from './latency.ts';
import { postgresFaults } from './postgres-faults.ts';
import { playAll, tableOf } from './probe.ts';
import { createRaces } from './races.ts';
import { redisFaults } from './redis-faults.ts';
import { replicaFaults } from './replica-faults.ts';
import { createRevocationStorm } from './revocation-faults.ts';
import { createWorld } from './world.ts';

const ROUNDS = 300;
/** Of the storm: some 15 a second, most of the time something being broken. */
const REVOCATIONS = Number(process.env.REVOCATIONS ?? 3_000);
const SEED = Number(process.env.SEED ?? 1);
const MAX_MS = 900_000 + REVOCATIONS * 70;

const words = process.argv.slice(2);
const isChosen = ({ name }: { name: string }) =>
  words.length === 0 || words.some((word) => name.includes(word));

t.setTimeout(MAX_MS);
t.test('holds its promises while parts break', { timeout: MAX_MS }, async (t) => {
  const world = await createWorld(t, 3);
  const storm = {
    revocations: REVOCATIONS,
    seed: SEED,
    faultMs: 7_000,
    calmMs: 3_000,
    clients: 12,
    pauseMs: 0,
  };
  const scenarios = [
    ...[...redisFaults, ...postgresFaults, ...replicaFaults, ...createRaces(ROUNDS)],
    ...[...doorFaults, createRevocationStorm(storm)],
  ].filter(isChosen);
  const rows = await playAll(t, world, scenarios);
  const latency = words.length === 0 || words.includes('latency') ? await measureLatency(world) : [];
  t.comment(['', ...tableOf(rows), '', ...latency].join('\n'));
});
