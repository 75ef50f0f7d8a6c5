import { setTimeout as delay } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { createRandom } from '../../bench/random.ts';
import { generateTokenOf, insertSeeded } from '../../bench/seed-rows.ts';
import { createBalancer } from '../support/balancer.ts';
import { type Probe, post, type Scenario } from './probe.ts';
import { createWatch, type Seen, type Trouble, type Watch } from './revocation-watch.ts';
import type { Replica, World } from './world.ts';

export type StormPlan = {
  /** Sign-outs that must be acknowledged before it ends. */
  revocations: number;
  seed: number;
  /** How long a fault lasts, and how long it is calm between two, at most. */
  faultMs: number;
  calmMs: number;
  /** Users who sign out one after the other, so many at once, with a pause after each. */
  clients: number;
  pauseMs: number;
};

type Random = (below: number) => number;
type Fault = {
  name: string;
  begin(world: World, index: number): unknown;
  end(world: World, index: number): unknown;
};
/** What goes on in a storm. */
type Storm = {
  world: World;
  probe: Probe;
  watch: Watch;
  trouble: Trouble;
  plan: StormPlan;
  random: Random;
  cookieName: string;
  counts: { begun: number; acknowledged: number; faults: Record<string, number> };
};

/** One user's sessions; all but one end by one request. */
const SESSIONS_OF_ONE = 10;
const LIVE_AT_ONCE = 4;
const LIVE_CHECKS_EVERY_MS = 10;
/** Nobody who signs out waits longer for one replica. */
const HUNG_MS = 3_000;
const TRIES = 600;

const FAULTS: Fault[] = [
  {
    name: 'Redis killed',
    begin: ({ redis }) => redis.signal('SIGKILL'),
    end: ({ redis }) => redis.restart(),
  },
  {
    name: 'Redis frozen',
    begin: ({ redis }) => redis.signal('SIGSTOP'),
    end: ({ redis }) => redis.signal('SIGCONT'),
  },
  {
    name: 'PostgreSQL killed',
    begin: ({ database }) => database.signal('SIGKILL'),
    end: ({ database }) => database.restart(),
  },
  {
    name: 'PostgreSQL frozen',
    begin: ({ database }) => database.signal('SIGSTOP'),
    end: ({ database }) => database.signal('SIGCONT'),
  },
  {
    name: 'a replica killed',
    begin: (world, index) => process.kill(world.replica(index).server.pid, 'SIGKILL'),
    end: (world, index) => world.replaceReplica(index),
  },
  {
    name: 'a replica frozen',
    begin: (world, index) => process.kill(world.replica(index).server.pid, 'SIGSTOP'),
    end: (world, index) => process.kill(world.replica(index).server.pid, 'SIGCONT'),
  },
];

/**
 * Users sign out through whichever replica answers, under one fault after another. No revocation that was acknowledged
 * may be missed by any service that verifies offline, and nobody who is signed in may be refused.
 */
export function createRevocationStorm(plan: StormPlan): Scenario {
  return {
    name: `${plan.revocations} sign-outs under kill -9 and SIGSTOP`,
    demanded:
      'every offline verifier refuses them 5 s after the fault at the latest, and nobody who is signed in',
    async play(probe, world) {
      const balancer = await createBalancer(() => world.replicas.map(({ url }) => url));
      const trouble: Trouble = { name: null, isDatabaseGone: false, endedAt: 0 };
      const watch = createWatch(world.issuer, balancer.url, trouble, world.patience);
      try {
        await watch.load();
        const { uniform } = createRandom(plan.seed);
        const random = (below: number) => Math.floor(uniform() * below);
        const [cookieName = ''] = (await probe.signUp()).cookie.split('=', 1);
        const counts = { begun: 0, acknowledged: 0, faults: {} };
        await rage({ world, probe, watch, trouble, plan, random, cookieName, counts });
      } finally {
        await watch.close();
        await balancer.close();
      }
    },
  };
}

async function rage(storm: Storm): Promise<void> {
  const { world, probe, watch, plan, counts } = storm;
  const users = Math.ceil(plan.revocations / SESSIONS_OF_ONE);
  await world.withDatabase((sql) => storeUsers(sql, users + 1));
  const live = await mintAll(storm, users * SESSIONS_OF_ONE, SESSIONS_OF_ONE);
  const startedAt = performance.now();
  const over = new AbortController();
  const faults = befall(storm, over.signal);
  const checks = keepChecking(watch, live, over.signal);
  try {
    await Promise.all(Array.from({ length: plan.clients }, () => leave(storm)));
  } finally {
    over.abort();
    await Promise.all([faults, checks]);
  }
  while (watch.waiting() > 0) await delay(50);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  probe.note(`${counts.acknowledged} acknowledged in ${seconds} s; faults: ${JSON.stringify(counts.faults)}`);
  judge(probe, watch.seen);
}

function judge(probe: Probe, { refusals, missed, waits, liveChecks, falseRefusals, errors }: Seen): void {
  probe.note(`${refusals} refusals by verifiers, ${missed} missed`);
  probe.note(`${liveChecks} checks of live sessions, ${falseRefusals} false refusals`);
  probe.demand(missed === 0, `${missed} revocations were missed`);
  probe.demand(falseRefusals === 0, `${falseRefusals} live sessions were refused`);
  for (const [why, { longestMs, late }] of Object.entries(waits)) {
    probe.note(`refused after ${longestMs} ms at the latest: ${why}`);
    probe.demand(late === 0, `${late} revocations were late: ${why}`);
  }
  for (const error of errors) probe.wrong(error);
}

/** One user after another gets a token on each device, ends the other sessions, and signs out. */
async function leave(storm: Storm): Promise<void> {
  const { watch, plan, counts } = storm;
  while (counts.begun < plan.revocations) {
    const first = counts.begun;
    counts.begun += SESSIONS_OF_ONE;
    const [own = '', ...others] = await mintAll(storm, first, SESSIONS_OF_ONE);
    await watch.check(own);
    await untilAnswered(storm, first, 'DELETE', '/sessions', [204]);
    acknowledge(storm, others);
    // 401: an earlier try has ended the session, but its answer was lost.
    await untilAnswered(storm, first, 'POST', '/logout', [204, 401]);
    acknowledge(storm, [own]);
    await delay(plan.pauseMs);
  }
}

function acknowledge({ watch, counts }: Storm, tokens: string[]): void {
  for (const token of tokens) watch.signedOut(token);
  counts.acknowledged += tokens.length;
}

async function mintAll(storm: Storm, first: number, count: number): Promise<string[]> {
  const tokens: string[] = [];
  for (let number = first; tokens.length < count; number += 1) {
    const body = await untilAnswered(storm, number, 'POST', '/token', [200]);
    tokens.push(JSON.parse(body).access_token);
  }
  return tokens;
}

/** Asks one replica after another. A fault may make 503 of an answer, or no answer, and anything else is wrong. */
async function untilAnswered(
  { world, probe, random, cookieName }: Storm,
  number: number,
  method: string,
  path: string,
  wanted: number[],
): Promise<string> {
  const cookie = `${cookieName}=${generateTokenOf(number)}`;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const replica = world.replica(random(world.replicas.length));
    const answer = await post(replica, path, { method, cookie, hungMs: HUNG_MS });
    probe.count();
    if (wanted.includes(answer.status)) return answer.body;
    if (![0, 503].includes(answer.status))
      probe.wrong(`${path}: ${answer.status} ${answer.body}\n${errorsIn(replica, answer.status)}`);
    await delay(50);
  }
  throw new Error(`${path}: nobody answers`);
}

/** The lines of its log about answers with this status. Those of answers in a fault, which are 503, would hide it. */
function errorsIn({ server }: Replica, status: number): string {
  const lines = server.output().split('\n');
  return lines.filter((line) => line.includes(`"statusCode":${status},`)).join('\n');
}

function storeUsers(sql: Sql, count: number): Promise<void> {
  const sessionsOf = new Uint8Array(count).fill(SESSIONS_OF_ONE);
  return insertSeeded(sql, { firstUser: 0, firstSession: 0, sessionsOf, passwordHash: 'none', ages: 'live' });
}

async function keepChecking(watch: Watch, live: string[], over: AbortSignal): Promise<void> {
  for (let at = 0; !over.aborted; at += LIVE_AT_ONCE) {
    const some = Array.from({ length: LIVE_AT_ONCE }, (_, next) => live[(at + next) % live.length] ?? '');
    await Promise.all(some.map(watch.check));
    await delay(LIVE_CHECKS_EVERY_MS);
  }
}

/** One fault at a time, each followed by a time without faults. */
async function befall(
  { world, probe, trouble, plan, random, counts }: Storm,
  over: AbortSignal,
): Promise<void> {
  // Each kind comes before any comes again.
  const left: Fault[] = [];
  while (!over.aborted) {
    if (left.length === 0) left.push(...FAULTS);
    const [fault] = left.splice(random(left.length), 1);
    if (fault === undefined) continue;
    const index = random(world.replicas.length);
    counts.faults[fault.name] = (counts.faults[fault.name] ?? 0) + 1;
    Object.assign(trouble, { name: fault.name, isDatabaseGone: fault.name.startsWith('PostgreSQL') });
    await fault.begin(world, index);
    await delay(500 + random(plan.faultMs));
    await fault.end(world, index);
    Object.assign(trouble, { name: null, isDatabaseGone: false, endedAt: performance.now() });
    await world.heal().catch((error: Error) => probe.wrong(`after ${fault.name}: ${error.message}`));
    await delay(random(plan.calmMs));
  }
}
