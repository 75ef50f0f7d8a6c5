import { setTimeout as delay } from 'node:timers/promises';
import { createProbe, createRow, quantile } from './probe.ts';
import type { World } from './world.ts';

const REQUESTS = 400;
const NOTICED_AFTER_MS = 1_000;

/** p50 and p99 of `/token`, one request after the other: one line for each state of the world. */
export async function measureLatency(world: World): Promise<string[]> {
  const row = createRow('latency', '');
  const probe = createProbe(row, world);
  const [user = await probe.signUp()] = await probe.signUpCached(1);
  const lines = [await measure('healthy')];

  world.redis.signal('SIGKILL');
  await delay(NOTICED_AFTER_MS);
  lines.push(await measure('Redis dead'));
  await world.redis.restart();
  await world.heal();

  await probe.fill(world.replica(0), user);
  world.database.signal('SIGKILL');
  await delay(NOTICED_AFTER_MS);
  lines.push(await measure('PostgreSQL dead'));
  await world.database.restart();
  await world.heal();
  if (row.wrong.length > 0) throw new Error(row.wrong[0]);
  return lines;

  async function measure(name: string): Promise<string> {
    const times: number[] = [];
    for (let i = 0; i < REQUESTS; i += 1) times.push((await probe.token(world.replica(0), user)).ms);
    const [p50, p99] = [quantile(times, 0.5).toFixed(1), quantile(times, 0.99).toFixed(1)];
    return `${name.padEnd(16)} p50 ${p50.padStart(5)} ms   p99 ${p99.padStart(5)} ms   (${REQUESTS} requests)`;
  }
}
