/**
 * For `node --import`: writes the CPU times of a server's requests to the file of CPU_SPREAD_FILE when the process ends, in
 * microseconds of its main thread. They are right only while one request at a time is sent. Waiting for a core does not count.
 */
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';

const KEPT = 50_000;
const times: number[] = [];
let startedAt: number | undefined;

subscribe('http.server.request.start', () => {
  const now = spent();
  if (startedAt !== undefined) times.push(now - startedAt);
  if (times.length > KEPT) times.shift();
  startedAt = now;
});
process.once('exit', () => writeFileSync(process.env.CPU_SPREAD_FILE ?? '', JSON.stringify(times)));

function spent(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
