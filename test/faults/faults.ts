/**
 * `npm run test:faults`: breaks PostgreSQL, Redis and the network in many ways under three real server processes,
 * prints the requests, the answers and the demands as one table, and ends with 1 if anything was wrong.
 *
 * With words as arguments, only scenarios run that have one of them in their name.
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
