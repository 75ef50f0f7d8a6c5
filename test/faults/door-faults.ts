import { setTimeout as delay } from 'node:timers/promises';
import { createDoors } from '../../src/verifier/doors.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { createBalancer } from '../support/balancer.ts';
import { type Probe, RECOVERED_WITHIN_MS, type Scenario, subjectOf } from './probe.ts';
import type { World } from './world.ts';

const LIMIT_SECONDS = 3;
/** How late the 503 may be. */
const MORE_MS = 1_000;
const HEALTHY_MS = 3_000;
const STILL_DEAD_MS = 1_000;
const EVERY_MS = 25;

type Fault = { name: string; begin(world: World): unknown; end(world: World): unknown };

/** How old a service's knowledge may be is its own choice, and must be told truly when nothing new comes. */
function lateDoors({ name, begin, end }: Fault): Scenario {
  return {
    name: `${name}, seen by doors`,
    demanded: `maxRevocationLag ${LIMIT_SECONDS} s: 503 within ${LIMIT_SECONDS + MORE_MS / 1000} s, never 401; others go on; back in 5 s`,
    async play(probe, world) {
      const doors = await openDoors(probe, world);
      try {
        await untilStatus(doors.limited, 200, RECOVERED_WITHIN_MS * world.patience);
        const early = await count(HEALTHY_MS, doors.limited, 200);
        probe.demand(
          early.others === 0 || world.patience > 1,
          `${early.others} of ${early.all} refused in health`,
        );
        const startedAt = performance.now();
        await begin(world);
        const goOn = count(LIMIT_SECONDS * 1000 + STILL_DEAD_MS, doors.unlimited, 200);
        const bound = (LIMIT_SECONDS * 1000 + MORE_MS) * world.patience;
        await untilStatus(doors.limited, 503, bound);
        probe.note(`503 after ${Math.round(performance.now() - startedAt)} ms`);
        const late = await count(STILL_DEAD_MS, doors.limited, 503);
        probe.demand(late.others === 0, `${late.others} of ${late.all} were not 503`);
        const passing = await goOn;
        probe.demand(
          passing.others === 0,
          `${passing.others} of ${passing.all} refused at a door without a limit`,
        );
        await end(world);
        const endedAt = performance.now();
        await untilStatus(doors.limited, 200, RECOVERED_WITHIN_MS * world.patience);
        probe.note(`passes again after ${Math.round(performance.now() - endedAt)} ms`);
      } finally {
        await end(world);
        await doors.close();
      }
    },
  };

  /** Asks until the door answers so. @throws Error if it does not in time, or answers what it never may */
  async function untilStatus(door: () => Promise<number>, status: number, withinMs: number): Promise<void> {
    const giveUpAt = performance.now() + withinMs;
    for (;;) {
      const found = await door();
      if (found === status) return;
      if (![200, 503].includes(found)) throw new Error(`a live session got ${found}`);
      if (performance.now() > giveUpAt) throw new Error(`no ${status} within ${withinMs} ms`);
      await delay(EVERY_MS);
    }
  }
}

async function count(ms: number, door: () => Promise<number>, status: number) {
  const endAt = performance.now() + ms;
  const counted = { all: 0, others: 0 };
  while (performance.now() < endAt) {
    counted.all += 1;
    if ((await door()) !== status) counted.others += 1;
    await delay(EVERY_MS);
  }
  return counted;
}

/** Two doors of one service, and a signed-in user who asks at them. Each says its status. */
async function openDoors(probe: Probe, world: World) {
  const user = await probe.signUp();
  const minted = await probe.token(world.replica(0), user);
  probe.demand(subjectOf(minted) === user.id, "another user's token");
  const authorization = `Bearer ${JSON.parse(minted.body).access_token}`;
  const balancer = await createBalancer(() => world.replicas.map(({ url }) => url));
  const verifier = createVerifier({
    issuer: world.issuer,
    audience: 'api',
    jwksUri: `${balancer.url}/.well-known/jwks.json`,
    revocationsUri: `${balancer.url}/revocations`,
    revocations: 'stream',
    logger: false,
  });
  const doors = createDoors({ verifier });
  const unlimited = doors.declare('verified');
  const limited = doors.declare({ door: 'verified', maxRevocationLag: LIMIT_SECONDS });
  const ask = (door: typeof limited) => async () => {
    probe.count();
    const answer = await doors.check(door, { authorization });
    return 'status' in answer ? answer.status : 200;
  };
  return {
    limited: ask(limited),
    unlimited: ask(unlimited),
    close: async () => {
      await verifier.close();
      await balancer.close();
    },
  };
}

const databaseFrozenForDoors = lateDoors({
  name: 'PostgreSQL SIGSTOPped with its children',
  begin: ({ database }) => database.signal('SIGSTOP'),
  end: ({ database }) => database.signal('SIGCONT'),
});

let isDead = false;

export const databaseKilledForDoors = lateDoors({
  name: 'PostgreSQL killed',
  begin: ({ database }) => {
    isDead = true;
    database.signal('SIGKILL');
  },
  end: async ({ database }) => {
    if (isDead) await database.restart();
    isDead = false;
  },
});

export const doorFaults: Scenario[] = [databaseFrozenForDoors, databaseKilledForDoors];
