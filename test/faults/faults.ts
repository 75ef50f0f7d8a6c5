/**
 * `npm run test:faults`: breaks PostgreSQL, Redis and the network in every way of DESIGN §8 under three real server
 * processes, prints what was asked, answered and demanded as one table, and ends with 1 if anything was wrong.
 *
 * Arguments are words that a scenario's name must have one of: all of them play when there are none.
 */
import t from 'tap';
import { measureLatency } from './latency.ts';
import { postgresFaults } from './postgres-faults.ts';
import { playAll, tableOf } from './probe.ts';
import { createRaces } from './races.ts';
import { redisFaults } from './redis-faults.ts';
import { replicaFaults } from './replica-faults.ts';
import { createWorld } from './world.ts';

const ROUNDS = 300;
const MAX_MS = 900_000;

const words = process.argv.slice(2);
const isChosen = ({ name }: { name: string }) =>
  words.length === 0 || words.some((word) => name.includes(word));

t.setTimeout(MAX_MS);
t.test('holds its promises while parts break', { timeout: MAX_MS }, async (t) => {
  const world = await createWorld(t, 3);
  const scenarios = [...redisFaults, ...postgresFaults, ...replicaFaults, ...createRaces(ROUNDS)].filter(
    isChosen,
  );
  const rows = await playAll(t, world, scenarios);
  const latency = words.length === 0 || words.includes('latency') ? await measureLatency(world) : [];
  t.comment(['', ...tableOf(rows), '', ...latency].join('\n'));
});
