/** G5: what the feed costs a service that verifies. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Verifier } from '../../src/verifier/verifier.ts';
import { post } from '../../test/faults/probe.ts';
import { isRevoked } from '../../test/faults/revocation-watch.ts';
import type { MeasuredProcess } from '../processes.ts';
import { median } from '../report.ts';
import { AUDIENCE, type FeedPlace } from './feed-place.ts';
import type { Finding } from './finding.ts';
import type { HeldMemory, MemoryOrder } from './held-memory.ts';
import { untilLoaded, untilRefused } from './propagation.ts';

export type VerifyingPlan = { entries: number; rounds: number; roundMs: number };

const AT_ONCE = 16;
const run = promisify(execFile);

/**
 * In a place of its own: memory is that of a process which holds the window, less that of one which holds a single entry.
 * @param algorithm of signatures
 */
export async function measureVerifying(
  place: FeedPlace,
  { entries, rounds, roundMs }: VerifyingPlan,
  algorithm: string,
): Promise<Finding[]> {
  const server = await place.startReplica({ SIGNING_ALGORITHM: algorithm });
  const before = await measureMemory(place, server);
  await place.fillWindow(entries);
  const after = await measureMemory(place, server);
  const ratio = await compareCpu(place, server, { entries, rounds, roundMs });
  await server.stop();
  const megabytes = (of: (memory: HeldMemory) => number) => (of(after) - of(before)) / 1e6;
  const finding = (what: string, found: number, most: number | null, unit = 'MB'): Finding => {
    return { goal: 'G5', what: `${algorithm}, ${entries} entries: ${what}`, most, found, unit };
  };
  return [
    finding('CPU of verify, to that without the feed', ratio, 1.03, 'times'),
    finding(
      'memory held, heap and buffers',
      megabytes(({ heap, external }) => heap + external),
      16,
    ),
    finding(
      'of that in buffers',
      megabytes(({ arrayBuffers }) => arrayBuffers),
      null,
    ),
    finding(
      'resident memory',
      megabytes(({ resident }) => resident),
      null,
    ),
  ];
}

async function measureMemory(place: FeedPlace, server: MeasuredProcess): Promise<HeldMemory> {
  const lastToEnd = await signOutOne(place, server);
  const order: MemoryOrder = {
    issuer: place.settings.PUBLIC_URL,
    url: server.url,
    audience: AUDIENCE,
    lastToEnd,
  };
  const { stdout } = await run(process.execPath, ['--expose-gc', 'bench/revocations/held-memory.ts'], {
    env: { PATH: process.env.PATH, ORDER: JSON.stringify(order) },
  });
  return JSON.parse(stdout);
}

/** Whoever refuses this token knows all that was revoked before. @returns the token of a session that has ended */
async function signOutOne(place: FeedPlace, server: MeasuredProcess): Promise<string> {
  const [user] = await place.signIn([server], 1);
  if (user === undefined) throw new Error('nobody is signed in');
  const { status } = await post(server, '/logout', user);
  if (status !== 204) throw new Error(`/logout answers ${status}`);
  return user.token;
}

/** @returns median of the rounds' ratios */
async function compareCpu(place: FeedPlace, server: MeasuredProcess, plan: VerifyingPlan): Promise<number> {
  const [fed, plain] = [place.openVerifier(server, 'stream'), place.openVerifier(server, false)];
  await untilLoaded([fed]);
  await untilRefused(fed, await signOutOne(place, server), 20);
  const [user] = await place.signIn([server], 1);
  if (user === undefined || (await isRevoked(fed, user.token))) throw new Error('nobody is signed in');
  const ratios: number[] = [];
  // The first round warms up and is not counted.
  for (let round = 0; round <= plan.rounds; round += 1) {
    const [ours, theirs] = await cpuOf([fed, plain], user.token, plan.roundMs);
    if (round > 0) ratios.push(Number(ours) / Number(theirs));
  }
  await fed.close();
  return median(ratios);
}

/**
 * CPU time that each verifier takes for checks, all threads of this process. They take turns after each few checks, so
 * that other work on the machine slows down both alike. Beats of the feed count wherever they happen to come.
 */
async function cpuOf(verifiers: Verifier[], token: string, roundMs: number): Promise<number[]> {
  const spent = verifiers.map(() => 0);
  const endAt = performance.now() + roundMs;
  while (performance.now() < endAt) {
    for (const [at, verifier] of verifiers.entries()) {
      const before = process.cpuUsage();
      await Promise.all(Array.from({ length: AT_ONCE }, () => verifier.verify(token)));
      const { user, system } = process.cpuUsage(before);
      spent[at] = (spent[at] ?? 0) + user + system;
    }
  }
  return spent;
}
