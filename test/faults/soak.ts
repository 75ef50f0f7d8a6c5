/**
 * `npm run test:soak -- --minutes 5 [--seed 1]`: users sign up, mint and sign out on three real server processes, under
 * one fault after another from a seeded generator. Then the history is checked: every acknowledged sign-up exists,
 * nothing was minted after an acknowledged logout and its bound, and no user got another user's token.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import t from 'tap';
import { post, subjectOf, trySignUp, type User } from './probe.ts';
import { createWorld, type World } from './world.ts';

/** Sessions end everywhere within 60 s under a single fault, plus a second for running requests. */
const REVOKED_WITHIN_MS = 61_000;
const MAX_LIVE = 200;
const CLIENTS = 3;

type Member = User & { leftAt: number | null };
type History = { members: Member[]; requests: number; wrong: string[]; faults: Record<string, number> };
type Random = (below: number) => number;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string', default: '1' } },
});
const durationMs = Number(values.minutes) * 60_000;

t.setTimeout(durationMs + 120_000);
t.test(
  `keeps its history straight for ${values.minutes} min, seed ${values.seed}`,
  {
    timeout: durationMs + 120_000,
  },
  async (t) => {
    const world = await createWorld(t, 3);
    const history: History = { members: [], requests: 0, wrong: [], faults: {} };
    const endAt = Date.now() + durationMs;
    const seed = Number(values.seed);
    const clients = Array.from({ length: CLIENTS }, (_, i) =>
      live(world, history, createRandom(seed + i + 1), endAt),
    );
    await Promise.all([befall(world, history, createRandom(seed), endAt), ...clients]);
    await world.heal();
    await checkEnd(world, history);
    const left = history.members.filter(({ leftAt }) => leftAt !== null).length;
    t.comment(`${history.requests} requests, ${history.members.length} sign-ups, ${left} logouts`);
    t.comment(JSON.stringify(history.faults));
    t.ok(left > 0, 'somebody has left');
    t.same(history.wrong.slice(0, 10), []);
  },
);

/** One user after another does one thing after another. */
async function live(world: World, history: History, random: Random, endAt: number): Promise<void> {
  while (Date.now() < endAt) {
    const replica = world.replica(random(world.replicas.length));
    const member = history.members[random(history.members.length)];
    const choice = random(20);
    history.requests += 1;
    if (member === undefined || (choice === 0 && history.members.length < MAX_LIVE)) {
      const { user } = await trySignUp(replica);
      if (user !== null) history.members.push({ ...user, leftAt: null });
    } else if (choice === 1 && member.leftAt === null) {
      await leave(world, history, member, random);
    } else {
      await mint(history, member, replica);
    }
    await delay(10);
  }
}

/** Tries until the logout is acknowledged, as a user would. Until then the state of the session is unknown. */
async function leave(world: World, history: History, member: Member, random: Random): Promise<void> {
  history.members.splice(history.members.indexOf(member), 1);
  for (let tries = 0; tries < 200; tries += 1) {
    const { status } = await post(world.replica(random(world.replicas.length)), '/logout', member);
    // 401: an earlier try ended the session, but its answer was lost.
    if (status === 204 || status === 401) {
      history.members.push({ ...member, leftAt: Date.now() });
      return;
    }
    if (status !== 503) history.wrong.push(`/logout: ${status}`);
    await delay(100);
  }
  history.wrong.push('a logout was never acknowledged');
}

async function mint(
  history: History,
  member: Member,
  replica: { url: string } & Parameters<typeof post>[0],
): Promise<void> {
  const { leftAt } = member;
  const startedAt = Date.now();
  const answer = await post(replica, '/token', member);
  if (answer.status === 200) {
    if (subjectOf(answer) !== member.id) history.wrong.push("another user's token");
    if (leftAt !== null && startedAt > leftAt + REVOKED_WITHIN_MS) {
      history.wrong.push(`minted ${startedAt - leftAt} ms after the logout`);
    }
    return;
  }
  // The user may have begun to sign out while this request was running.
  const isLive = leftAt === null && history.members.includes(member);
  if (answer.status === 404 ? isLive : answer.status !== 503) {
    history.wrong.push(`/token: ${answer.status} ${answer.body.slice(0, 200)}`);
  }
  if (answer.status === 503 && (answer.setCookie.length > 0 || answer.retryAfter === undefined)) {
    history.wrong.push('503 with Set-Cookie, or without Retry-After');
  }
}

/** One fault at a time, each followed by a time without faults. */
async function befall(world: World, history: History, random: Random, endAt: number): Promise<void> {
  while (Date.now() < endAt) {
    const [name, begin, end] = FAULTS[random(FAULTS.length)] ?? FAULTS[0];
    history.faults[name] = (history.faults[name] ?? 0) + 1;
    const index = random(world.replicas.length);
    await begin(world, index);
    await delay(500 + random(4_000));
    await end(world, index);
    await world.heal().catch((error: Error) => void history.wrong.push(`after ${name}: ${error.message}`));
    await delay(random(2_000));
  }
}

type Fault = [
  name: string,
  begin: (world: World, index: number) => unknown,
  end: (world: World, index: number) => unknown,
];

const nothing = () => {};
const mendAll = ({ replicas }: World) =>
  replicas.forEach(({ redis, database }) => {
    redis.mend();
    database.mend();
  });

const FAULTS: [Fault, ...Fault[]] = [
  ['Redis killed', ({ redis }) => redis.signal('SIGKILL'), ({ redis }) => redis.restart()],
  ['Redis frozen', ({ redis }) => redis.signal('SIGSTOP'), ({ redis }) => redis.signal('SIGCONT')],
  ['Redis flushed', ({ withRedis }) => withRedis((redis) => redis.flushall()), nothing],
  ['Redis slow', ({ replicas }) => replicas.forEach(({ redis }) => void redis.slow(200)), mendAll],
  ['one cut off from Redis', (world, i) => world.replica(i).redis.blackhole(), mendAll],
  ['one cut off from PostgreSQL', (world, i) => world.replica(i).database.blackhole(), mendAll],
  ['PostgreSQL killed', ({ database }) => database.signal('SIGKILL'), ({ database }) => database.restart()],
  [
    'PostgreSQL frozen',
    ({ database }) => database.signal('SIGSTOP'),
    ({ database }) => database.signal('SIGCONT'),
  ],
  [
    'PostgreSQL connections half open',
    ({ replicas }) => replicas.forEach(({ database }) => void database.halfOpen()),
    nothing,
  ],
  [
    'one replica frozen',
    (world, i) => process.kill(world.replica(i).server.pid, 'SIGSTOP'),
    (world, i) => process.kill(world.replica(i).server.pid, 'SIGCONT'),
  ],
];

async function checkEnd(world: World, history: History): Promise<void> {
  for (const member of history.members) {
    const { email, password } = member;
    const { status } = await post(world.replica(0), '/login', { body: JSON.stringify({ email, password }) });
    if (status !== 200) history.wrong.push(`an acknowledged sign-up is lost: /login ${status}`);
    const minted = await post(world.replica(1), '/token', member);
    const isOver = member.leftAt !== null && Date.now() > member.leftAt + REVOKED_WITHIN_MS;
    if (minted.status === 404 ? member.leftAt === null : isOver) {
      history.wrong.push(`/token ${minted.status} at the end, left: ${member.leftAt !== null}`);
    }
  }
}

/** Numbers that look random, the same ones for a seed (Lehmer's generator, Park and Miller 1988). */
function createRandom(seed: number): Random {
  let state = (seed * 48_271) % 2_147_483_647 || 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return below === 0 ? 0 : state % below;
  };
}
