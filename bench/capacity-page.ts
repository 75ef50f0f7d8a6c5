import { readFileSync } from 'node:fs';
import type { Costs, RequestKind } from './cost-table.ts';
import { type Demand, type Plan, planFor } from './simulation/plan.ts';
import {
  bytes,
  outcomesTable,
  percent,
  type SimulationReport,
  short,
  table,
  whole,
} from './simulation/report.ts';
import { simulateSteadily } from './simulation/steady.ts';
import { TRAFFIC } from './simulation/traffic.ts';

const PLANNED = [1_000, 100_000, 10_000_000, 100_000_000];

/** How busy a machine may be when its share is told. */
const BUSY = 0.7;

const KINDS: [kind: RequestKind, name: string][] = [
  ['mintHit', '`POST /token`, known to the cache'],
  ['mintMiss', '`POST /token`, not known to it'],
  ['doorCookie', '`/forward-auth` with the cookie'],
  ['doorBearer', '`/forward-auth` with a Bearer token'],
  ['introspect', '`/oauth/introspect`'],
  ['signIn', '`POST /login`, without the hash'],
  ['signOut', '`POST /logout`'],
  ['keySet', 'the key set'],
];

/**
 * The page with its generated parts made anew: each stands between a line `<!-- NAME -->` and a line `<!-- end -->`.
 * @throws Error for a part that is not known
 */
export function capacityPage(page: string, costs: Costs, report: SimulationReport): string {
  const parts: Record<string, string> = {
    costs: costsTable(costs),
    machine: machineLine(costs),
    bytes: bytesTable(costs),
    assumptions: assumptionsTable(),
    plan: planTable(costs, report.demand),
    units: unitsTable(costs, report.demand),
    steady: steadyTable(costs),
    ...Object.fromEntries(
      [10_000_000, 100_000_000].map((users) => [
        `outcomes ${short(users)}`,
        outcomesTable(report.runs.filter(({ dailyUsers }) => dailyUsers === users)),
      ]),
    ),
  };
  return page.replace(/<!-- ([^\n]*) -->\n.*?<!-- end -->/gs, (_, name: string) => {
    if (parts[name] === undefined) throw new Error(`docs/capacity.md has an unknown part "${name}"`);
    return `<!-- ${name} -->\n${parts[name]}\n<!-- end -->`;
  });
}

/** The page as it is now, made of the files of the repository. */
export function currentCapacityPage(): string {
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  return capacityPage(
    readFileSync('docs/capacity.md', 'utf8'),
    json('bench/costs.json') as Costs,
    json('bench/simulation.json') as SimulationReport,
  );
}

function costsTable({ requests }: Costs): string {
  const rows = KINDS.map(([kind, name]) => {
    const { serverMicros, postgresMicros, redisMicros, walBytes } = requests[kind];
    const figures = [serverMicros, postgresMicros, redisMicros].map((value) => `${whole(value)} µs`);
    return [name, ...figures, bytes(Math.max(0, walBytes)), whole(roughly(BUSY * (1e6 / serverMicros)))];
  });
  return table(
    ['', 'Doorward', 'PostgreSQL', 'Redis', "PostgreSQL's log", 'a second, of one core at 70 %'],
    rows,
  );
}

function machineLine({ at, machine, seeded, hashMicros, idle, serverSigma }: Costs): string {
  const pairs = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  return [
    `Measured ${at.slice(0, 10)} with ${short(seeded.users)} users and ${short(seeded.sessions)} sessions; ${pairs.join(', ')}.`,
    `A password check is ${whole(hashMicros / 1000)} ms of another thread: ${whole((BUSY * 1e6) / hashMicros)} sign-ins a second for each core of those.`,
    `A replica without requests takes ${percent(idle.serverMicros / 1e6)} of its core, and ${percent(idle.postgresMicros / 1e6)} of one of PostgreSQL's.`,
    `The times of one kind of request are spread as log-normal ones with a deviation of ${serverSigma}.`,
  ].join('\n');
}

function bytesTable({ bytes: each, connections, touch, missBuffers }: Costs): string {
  return table(
    ['', ''],
    [
      [
        'a session in PostgreSQL',
        `${whole(each.sessionHeap)} bytes, and ${whole(each.sessionIndexes)} in six indexes`,
      ],
      ['a user', `${whole(each.userHeap)} bytes, and ${whole(each.userIndexes)} in two indexes`],
      [
        'pages that a miss reads',
        `${missBuffers} of 8 KB, of which some are inner pages of indexes and always in memory`,
      ],
      [
        'a use that is written, once a minute at most',
        `${whole(touch.postgresMicros)} µs, and ${bytes(touch.walBytes)} of log just after a checkpoint (${bytes(touch.walBytesCompressed)} with \`wal_compression = lz4\`)`,
      ],
      [
        'a session in Redis',
        `${whole(each.redisEntry)} bytes for 10 minutes after its last look-up in PostgreSQL`,
      ],
      ['a sign-out in Redis', `${whole(each.redisTombstone)} bytes for a minute`],
      ['an address that signs in, in Redis', `${whole(each.redisCounter)} bytes for a minute`],
      ['memory of a replica under load', bytes(each.replicaResident)],
      [
        'connections of a busy replica',
        `${connections.postgres} to PostgreSQL, ${connections.redis} to Redis`,
      ],
    ],
  );
}

function assumptionsTable(): string {
  const { regions, ...t } = TRAFFIC;
  const share = (value: number) => percent(value);
  return table(
    ['Assumed of a daily user', ''],
    [
      ['visits a day', `${t.visitsADay} on the average, log-normal (σ ${t.activitySigma}) between users`],
      ['pages of a visit', `${t.routeChanges}, geometric; one \`POST /token\` each`],
      ['time between pages', `${t.secondsBetween} s, log-normal (σ ${t.secondsBetweenSigma})`],
      ['devices in use', `${t.devices}, geometric`],
      ['visits that begin with a sign-in; end with a sign-out', `${share(t.signIns)}; ${share(t.signOuts)}`],
      [
        'for each `POST /token`',
        `${t.introspections} introspections, ${t.forwardAuths} \`/forward-auth\` with the cookie`,
      ],
      [
        'where users are',
        regions
          .map(({ share: part, hours }) => `${share(part)} at ${hours < 0 ? '−' : '+'}${Math.abs(hours)} h`)
          .join(', '),
      ],
      ['rows for each daily user', `${t.sessionsPerDailyUser} sessions, ${t.usersPerDailyUser} users`],
    ],
  );
}

function planTable(costs: Costs, demand: Demand): string {
  const plans = PLANNED.map((users) => planFor(users, demand, costs, TRAFFIC));
  const row = (name: string, of: (plan: Plan) => string) => [name, ...plans.map(of)];
  return table(
    ['Daily users', ...PLANNED.map(short)],
    [
      row('requests a second, in the busiest minute', (plan) => whole(roughly(plan.requestsPerSecond))),
      row('replicas, of two cores', ({ deployment }) => whole(deployment.replicas)),
      row('their connections, with DATABASE_POOL_SIZE=10', ({ connections }) => whole(connections)),
      row('PgBouncer', ({ pooledConnections }) =>
        pooledConnections === null ? 'not needed' : `${pooledConnections} connections to PostgreSQL`,
      ),
      row("PostgreSQL's cores", ({ deployment }) => whole(deployment.postgresCores)),
      row("PostgreSQL's memory", ({ memoryBytes }) => bytes(memoryBytes)),
      row("PostgreSQL's disk", ({ diskBytes }) => bytes(diskBytes)),
      row('rows of `sessions`; of `users`', ({ rows }) => `${short(rows.sessions)}; ${short(rows.users)}`),
      row("PostgreSQL's log, at most", ({ logBytesPerSecond }) => `${bytes(logBytesPerSecond)}/s`),
      row('Redis, shards', ({ deployment }) => whole(deployment.redisShards)),
      row('Redis, memory in all', ({ redisBytes }) => bytes(redisBytes)),
    ],
  );
}

/** How many users one of each serves: the smallest number is the first bottleneck. */
function unitsTable({ touch }: Costs, demand: Demand): string {
  const compressed = demand.logBytes - demand.touches * (touch.walBytes - touch.walBytesCompressed);
  const rows: [what: string, users: number, more: string][] = [
    ['one hashing thread', BUSY / demand.hashing, 'more replicas, or PASSWORD_HASH_THREADS'],
    ['one event loop', BUSY / demand.loops, 'more replicas'],
    [
      "a disk that takes 250 MB/s of PostgreSQL's log",
      (BUSY * 250e6) / demand.logBytes,
      'compression, rarer checkpoints, a faster disk',
    ],
    [
      'that disk, with `wal_compression = lz4`',
      (BUSY * 250e6) / compressed,
      'rarer checkpoints, a faster disk',
    ],
    ['one Redis', BUSY / demand.redis, 'a cluster'],
    ["16 cores of PostgreSQL's", (BUSY * 16) / demand.postgresCores, 'a larger machine'],
    [
      "16 cores of PostgreSQL's, while Redis is away",
      (BUSY * 16) / demand.postgresCoresAlone,
      'a larger machine',
    ],
  ];
  const sorted = rows.toSorted(([, a], [, b]) => a - b);
  return table(
    ['', 'daily users, at 70 %', 'more of it by'],
    sorted.map(([what, users, more]) => [what, short(users), more]),
  );
}

function steadyTable(costs: Costs): string {
  const rows = costs.steady.map(({ perSecond, seconds, p50Ms, p99Ms }) => {
    const simulated = simulateSteadily(costs, perSecond, seconds);
    return [
      whole(perSecond),
      ...[p50Ms, simulated.p50Ms, p99Ms, simulated.p99Ms].map((ms) => `${ms.toFixed(2)} ms`),
    ];
  });
  return table(['a second', 'p50', 'simulated', 'p99', 'simulated'], rows);
}

/** Two digits: more would pretend. */
function roughly(value: number): number {
  return Number(value.toPrecision(2));
}
