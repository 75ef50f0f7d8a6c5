/** G1: how long after the answer to a sign-out services that verify offline refuse its tokens. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Verifier } from '../../src/verifier/verifier.ts';
import { post, quantile } from '../../test/faults/probe.ts';
import { isRevoked } from '../../test/faults/revocation-watch.ts';
import type { MeasuredProcess } from '../processes.ts';
import { type FeedPlace, type How, replicaOf, type SignedIn } from './feed-place.ts';
import type { Finding } from './finding.ts';

type Variant = {
  name: string;
  how: How;
  settings: Record<string, string>;
  mostMs: number;
  replicas: number;
  /** Sign-outs, at this rate. */
  count: number;
  perSecond: number;
  /** A token is verified again and again: what is found is too long by this at most. */
  checkEveryMs: number;
};

export type PropagationPlan = {
  replicas: number;
  streamed: number;
  polled: number;
  seldom: number;
  perSecond: number;
};

const LOADED_WITHIN_MS = 20_000;
/** A sign-out that is not known by then counts as missed, and as so long. */
const GIVE_UP_AFTER_MS = 15_000;
/** Nothing listens there: no hints, no cache. */
const NO_REDIS = { REDIS_URL: 'redis://127.0.0.1:1' };
const MOST_LATE_MS = 2_000;
/** As often as a verifier asks that polls, and what the feed itself may take. */
const POLL_MS = 2_000 + 700;

/** Sign-outs through the replicas in turn, each seen by as many verifiers, one at each replica. */
export async function measurePropagation(place: FeedPlace, plan: PropagationPlan): Promise<Finding[]> {
  const { replicas, streamed, polled, seldom, perSecond } = plan;
  const stream = { how: 'stream', replicas, count: streamed, perSecond, checkEveryMs: 10 } as const;
  const poll = { how: 'poll', replicas, count: polled, perSecond: perSecond / 2, checkEveryMs: 40 } as const;
  const variants: Variant[] = [
    { name: 'SSE, with Redis', settings: {}, mostMs: 300, ...stream },
    { name: 'SSE, Redis dead', settings: NO_REDIS, mostMs: 700, ...stream },
    // With few sign-outs a replica has no commits of its own that make it look at the table.
    {
      name: 'SSE, Redis dead, seldom',
      settings: NO_REDIS,
      mostMs: 700,
      ...stream,
      count: seldom,
      perSecond: 4,
    },
    { name: 'polling, with Redis', settings: {}, mostMs: POLL_MS, ...poll },
  ];
  const findings: Finding[] = [];
  for (const variant of variants) findings.push(...(await measure(place, variant)));
  return findings;
}

async function measure(place: FeedPlace, variant: Variant): Promise<Finding[]> {
  const replicas: MeasuredProcess[] = [];
  while (replicas.length < variant.replicas) replicas.push(await place.startReplica(variant.settings));
  const verifiers = replicas.map((replica) => place.openVerifier(replica, variant.how));
  const users = await place.signIn(replicas, variant.count);
  await untilLoaded(verifiers);
  const times = await signOutAll(replicas, verifiers, users, variant);
  await Promise.all(verifiers.map((verifier) => verifier.close()));
  await Promise.all(replicas.map((replica) => replica.stop()));
  const finding = (what: string, found: number, most: number | null, unit = 'ms'): Finding => {
    return { goal: 'G1', what: `${variant.name}: ${what}`, most, found, unit };
  };
  return [
    finding('p50 from the 204 to the refusal', quantile(times, 0.5), null),
    finding('p99', quantile(times, 0.99), variant.mostMs),
    finding('longest', Math.max(...times), null),
    finding(
      'not refused in time',
      times.filter((ms) => ms >= GIVE_UP_AFTER_MS).length,
      0,
      `of ${times.length}`,
    ),
  ];
}

/** @returns milliseconds, one for each sign-out and verifier */
async function signOutAll(
  replicas: MeasuredProcess[],
  verifiers: Verifier[],
  users: SignedIn[],
  { perSecond, checkEveryMs }: Variant,
): Promise<number[]> {
  const startedAt = performance.now();
  let lastAt = startedAt;
  const times = users.map(async ({ cookie, token }, at) => {
    await delay((at * 1000) / perSecond);
    const { status, body } = await post(replicaOf(replicas, at), '/logout', { cookie });
    if (status !== 204) throw new Error(`/logout answers ${status}: ${body}`);
    lastAt = performance.now();
    return Promise.all(verifiers.map((verifier) => untilRefused(verifier, token, checkEveryMs)));
  });
  const all = (await Promise.all(times)).flat();
  // Where sign-outs have to wait for one another, it is not their rate that is measured.
  const lateMs = lastAt - startedAt - (users.length * 1000) / perSecond;
  if (lateMs > MOST_LATE_MS) throw new Error(`no ${perSecond} sign-outs a second: is the machine busy?`);
  return all;
}

/** @returns milliseconds that it took; the most that is waited for if it never came */
export async function untilRefused(verifier: Verifier, token: string, checkEveryMs: number): Promise<number> {
  const startedAt = performance.now();
  while (!(await isRevoked(verifier, token))) {
    if (performance.now() - startedAt > GIVE_UP_AFTER_MS) return GIVE_UP_AFTER_MS;
    await delay(checkEveryMs);
  }
  return performance.now() - startedAt;
}

/** Until each has its keys, and knows the window. */
export async function untilLoaded(verifiers: Verifier[]): Promise<void> {
  const giveUpAt = performance.now() + LOADED_WITHIN_MS;
  await Promise.all(verifiers.map((verifier) => verifier.load()));
  while (!verifiers.every((verifier) => Number.isFinite(verifier.revocationLag()))) {
    if (performance.now() > giveUpAt) throw new Error('a verifier did not get the feed');
    await delay(20);
  }
}
