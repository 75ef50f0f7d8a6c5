import { setTimeout as delay } from 'node:timers/promises';
import postgres, { type Sql } from 'postgres';
import {
  during,
  type Probe,
  RECOVERED_WITHIN_MS,
  REFUSED_WITHIN_MS,
  type Scenario,
  type User,
} from './probe.ts';
import { age } from './redis-faults.ts';
import type { Replica, World } from './world.ts';

const DEAD_MS = 1_500;
/** The limit when the breaker is open: no request waits for a deadline then. */
const AT_ONCE_MS = 500;

type LostDatabase = {
  name: string;
  begin(world: World): unknown;
  end(world: World): unknown;
  /** If not, the server itself is well, and only a request that needs the blocked row waits each time. */
  isWhollyGone?: boolean;
};

/** PostgreSQL does not answer: sessions in the cache are served, all others get 503 soon, and none gets 404. */
function lostDatabase({ name, begin, end, isWhollyGone = true }: LostDatabase): Scenario {
  return {
    name,
    demanded: 'known 200, stale too; others 503 within 3 s, never 404, no Set-Cookie; back in 5 s',
    async play(probe, world) {
      const [known, stale, leaving, ...others] = await probe.signUpCached(5);
      if (known === undefined || stale === undefined || leaving === undefined)
        throw new Error('nobody signed up');
      const uncached = await probe.signUpUncached();
      await world.withRedis((redis) => age(redis, stale, world));

      await during(world, { begin, end }, async () => {
        await Promise.all([
          probe.tokensFor(DEAD_MS, [known, ...others]),
          refusals(probe, world, { uncached, leaving }),
        ]);
        for (const replica of world.replicas) await probe.serve(replica, stale, REFUSED_WITHIN_MS);
        await probe.serve(world.replica(world.replicas.length - 1), stale, AT_ONCE_MS);
        if (!isWhollyGone) return;
        await probe.token(world.replica(0), uncached, [503], AT_ONCE_MS);
      });
      await probe.recovers(known);
      for (const user of [uncached, stale]) await probe.token(world.replica(1), user);
      // The logout was refused: it may have happened or not, but it can be asked for again.
      await probe.logout(world.replica(1), leaving, [204, 401]);
      await probe.endsEverywhere(leaving, 5_000);
    },
  };
}

type Unknown = { uncached: User; leaving: User };

/** Calls that need the database are refused in time. */
async function refusals(probe: Probe, world: World, { uncached, leaving }: Unknown): Promise<void> {
  const { email, password } = uncached;
  const newcomer = JSON.stringify({ email: `new-${email}`, password });
  // A known address: only then is there a session to write.
  const known = JSON.stringify({ email, password });
  await Promise.all([
    probe.ask(world.replica(0), '/signup', [503], { body: newcomer, withinMs: REFUSED_WITHIN_MS }),
    probe.ask(world.replica(1), '/login', [503], { body: known, withinMs: REFUSED_WITHIN_MS }),
    probe.logout(world.replica(0), leaving, [503]),
    ...world.replicas.map((replica) => probe.token(replica, uncached, [503], REFUSED_WITHIN_MS)),
  ]);
}

export const postgresKilled = lostDatabase({
  name: 'PostgreSQL killed',
  begin: ({ database }) => database.signal('SIGKILL'),
  end: ({ database }) => database.restart(),
});

const postgresFrozen = lostDatabase({
  name: 'PostgreSQL SIGSTOPped with its children',
  begin: ({ database }) => database.signal('SIGSTOP'),
  end: ({ database }) => database.signal('SIGCONT'),
});

const postgresUnreachable = lostDatabase({
  name: 'PostgreSQL resets every connection',
  begin: ({ replicas }) => replicas.forEach(({ database }) => void database.reset()),
  end: ({ replicas }) => replicas.forEach(({ database }) => void database.mend()),
});

const postgresRestarted: Scenario = {
  name: 'PostgreSQL restarted under load',
  demanded: 'known 200; uncached 200 or 503; back in 5 s; every acknowledged sign-up is there',
  async play(probe, world) {
    const [known = await probe.signUp()] = await probe.signUpCached(1);
    const signedUp: User[] = [];
    let isOver = false;
    const newcomers = (async () => {
      for (let i = 0; !isOver; i += 1) {
        const user = await probe.signUpOr503(world.replica(i));
        if (user === null) await delay(20);
        else signedUp.push(user);
      }
    })();
    const crowd = probe.tokensFor(1_000, [known]);
    await delay(300);
    world.database.signal('SIGINT');
    await world.database.restart();
    await crowd;
    await probe.recovers(known);
    isOver = true;
    await newcomers;
    probe.demand(signedUp.length > 0, 'nobody signed up');
    for (const user of signedUp) await probe.token(world.replica(1), user);
  },
};

const hogs: Sql[] = [];

const outOfConnections = lostDatabase({
  name: 'PostgreSQL out of connections',
  begin: async ({ replicas, database }) => {
    for (const replica of replicas) replica.database.reset();
    // The server needs time to see that its clients are gone.
    await delay(300);
    await takeConnections(database.url);
    for (const replica of replicas) replica.database.mend();
  },
  end: () => Promise.all(hogs.splice(0).map((sql) => sql.end({ timeout: 0 }))),
});

/** Connects until the server accepts no more. */
async function takeConnections(url: string): Promise<void> {
  for (;;) {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    try {
      await sql`select 1`;
      hogs.push(sql);
    } catch {
      return void (await sql.end({ timeout: 0 }));
    }
  }
}

const lock: { release: () => void; done: Promise<unknown> } = { release: () => {}, done: Promise.resolve() };

const sessionsLocked = lostDatabase({
  name: 'LOCK TABLE sessions',
  isWhollyGone: false,
  begin: async ({ withDatabase }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
    lock.release = release;
    lock.done = withDatabase((sql) =>
      sql.begin(async (transaction) => {
        await transaction`lock table sessions in access exclusive mode`;
        isLocked();
        await released;
      }),
    );
    // A lock that was refused must not be waited for.
    await Promise.race([locked, lock.done]);
  },
  end: () => {
    lock.release();
    return lock.done;
  },
});

export const halfDeadConnections: Scenario = {
  name: 'half-dead PostgreSQL connections, new ones work',
  demanded: 'known 200; uncached 503 at first, never 404; minting from rows again in 5 s',
  async play(probe, world) {
    const [known = await probe.signUp()] = await probe.signUpCached(1);
    // Each replica has a user of its own, because a read of a row fills the cache, which the other replicas use too.
    const strangers = await Promise.all(world.replicas.map((replica) => probe.signUpUncached(replica)));
    for (const { database } of world.replicas) database.halfOpen();
    const giveUpAt = Date.now() + RECOVERED_WITHIN_MS * world.patience;
    await Promise.all([
      probe.tokensFor(300, [known]),
      ...strangers.map((stranger, i) => mintsAgain(probe, world.replica(i), stranger, giveUpAt)),
    ]);
    await probe.recovers(known);
  },
};

async function mintsAgain(probe: Probe, replica: Replica, user: User, giveUpAt: number): Promise<void> {
  while ((await probe.token(replica, user, [200, 503], REFUSED_WITHIN_MS)).status !== 200) {
    if (Date.now() > giveUpAt) return probe.wrong('reads no rows again in time');
    await delay(50);
  }
}

export const postgresFaults: Scenario[] = [
  postgresKilled,
  postgresFrozen,
  postgresUnreachable,
  postgresRestarted,
  outOfConnections,
  sessionsLocked,
  halfDeadConnections,
];
