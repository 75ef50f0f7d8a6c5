import { createHash, randomBytes } from 'node:crypto';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Replica, World } from './world.ts';

/** One line of the table. */
export type Row = {
  name: string;
  demanded: string;
  requests: number;
  wrong: string[];
  slowestMs: number;
  /** How often a request had to be repeated. */
  stumbles: number;
  /** What else is worth telling. */
  notes: string[];
};

export type User = { id: string; email: string; password: string; cookie: string };

/** The answer to a request; status 0 if the connection failed. */
export type Answer = {
  status: number;
  ms: number;
  body: string;
  setCookie: string[];
  retryAfter: string | undefined;
};

export type Scenario = { name: string; demanded: string; play(probe: Probe, world: World): Promise<void> };

export const RECOVERED_WITHIN_MS = 5_000;
/** Two seconds of deadline, and a second for a busy machine. */
export const REFUSED_WITHIN_MS = 3_000;
const HUNG_MS = 20_000;
/** One call fills the cache, unless a busy machine delays a command. */
const FILLED_WITHIN_MS = 1_500;
/** How long one command may delay a request before the breaker is open. */
const REDIS_DEADLINE_MS = 100;
/** Answers within this are quick enough, even if three times the healthy p99 is less. */
const QUICK_MS = 30;
/** A server that always fails the first time would exceed this; a busy machine almost never does. */
const MAX_STUMBLES = 0.5;
const STUMBLES_A_REQUEST = 8;

const agent = new Agent({ keepAlive: true });

/** Asks a replica like a program, not like a browser. Never rejects. */
export function post(
  { url }: { url: string },
  path: string,
  { method = 'POST', cookie = '', body = '', hungMs = HUNG_MS } = {},
): Promise<Answer> {
  const startedAt = performance.now();
  const headers = { ...(cookie && { cookie }), ...(body && { 'content-type': 'application/json' }) };
  const told = (response: IncomingMessage | null, text = ''): Answer => ({
    status: response?.statusCode ?? 0,
    ms: performance.now() - startedAt,
    body: text,
    setCookie: response?.headers['set-cookie'] ?? [],
    retryAfter: response?.headers['retry-after'],
  });
  return new Promise((resolve) => {
    const request = httpRequest(url + path, { method, agent, headers, timeout: hungMs });
    request.on('response', (response) => {
      response.toArray().then(
        (chunks) => resolve(told(response, Buffer.concat(chunks).toString())),
        () => resolve(told(null)),
      );
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', () => resolve(told(null)));
    request.end(body);
  });
}

/** The Redis key of a user's session, without the prefix. */
export function cacheKeyOf({ cookie }: User): string {
  const token = cookie.slice(cookie.indexOf('=') + 1);
  return `session:${createHash('sha256').update(token).digest('hex')}`;
}

export type Probe = ReturnType<typeof createProbe>;

/** Asks replicas, and checks every answer against the rules for all of them. */
export function createProbe(row: Row, world: World) {
  const wrong = (what: string) => void row.wrong.push(what);
  const note = (what: string) => void row.notes.push(what);
  const { patience } = world;
  return {
    wrong,
    note,
    demand,
    demandQuick,
    count,
    ask,
    token,
    serve,
    tokensFor,
    signUp,
    signUpUncached,
    signUpOr503,
    signUpCached,
    fill,
    logout,
    endsEverywhere,
    recovers,
  };

  function demand(holds: boolean, what: string): void {
    if (!holds) wrong(what);
  }

  /**
   * Demands quick answers without Redis. Other work on the machine delays a few of them, so with patience the median
   * shows whether every request waits for Redis.
   */
  function demandQuick(times: number[], healthyTimes: number[]): void {
    const isStrict = patience === 1;
    const [share, floorMs] = isStrict ? [0.99, QUICK_MS] : [0.5, REDIS_DEADLINE_MS];
    const [tookMs, healthyMs] = [quantile(times, share), quantile(healthyTimes, share)];
    const boundMs = Math.max(floorMs, 3 * healthyMs);
    demand(
      tookMs <= boundMs,
      `p${share * 100} of ${Math.round(tookMs)} ms after noticing, at most ${Math.round(boundMs)}`,
    );
  }

  /** Counts a look-up that was not made over HTTP. */
  function count(): void {
    row.requests += 1;
  }

  /** One request, whose status must be one of `allowed`. */
  async function ask(
    replica: Replica,
    path: string,
    allowed: number[],
    { withinMs = HUNG_MS, ...what }: { cookie?: string; body?: string; withinMs?: number } = {},
  ): Promise<Answer> {
    const answer = await post(replica, path, { ...what, hungMs: Math.max(HUNG_MS, withinMs) });
    row.requests += 1;
    row.slowestMs = Math.max(row.slowestMs, answer.ms);
    const { status, ms } = answer;
    demand(
      allowed.includes(status),
      `${path}: ${status} after ${Math.round(ms)} ms and not ${allowed.join(' or ')} ${answer.body.slice(0, 200)}`,
    );
    const boundMs = withinMs * patience;
    demand(ms <= boundMs, `${path}: ${Math.round(ms)} ms for ${status}, at most ${boundMs}`);
    if (status === 503) {
      demand(answer.retryAfter !== undefined, `${path}: 503 without Retry-After`);
      demand(answer.setCookie.length === 0, `${path}: 503 with Set-Cookie`);
    }
    return answer;
  }

  /** Mints, and checks that it is not another user's token. */
  async function token(replica: Replica, user: User, allowed = [200], withinMs = HUNG_MS): Promise<Answer> {
    const answer = await ask(replica, '/token', allowed, { cookie: user.cookie, withinMs });
    if (answer.status === 200) demand(subjectOf(answer) === user.id, "another user's token");
    return answer;
  }

  /**
   * Mints for a user who must be served. On a busy machine Redis may miss its deadline, and without the database the
   * answer is 503 then: with patience, the request is repeated.
   */
  async function serve(replica: Replica, user: User, withinMs = HUNG_MS): Promise<Answer> {
    const retries = patience === 1 ? 0 : STUMBLES_A_REQUEST;
    for (let tries = 0; tries < retries; tries += 1) {
      const answer = await token(replica, user, [200, 503], withinMs);
      if (answer.status === 200) return answer;
      row.stumbles += 1;
      await delay(REDIS_DEADLINE_MS);
    }
    return token(replica, user, [200], withinMs);
  }

  /** Mints on all replicas at once, on each in turn for every user. @returns how long each answer took */
  async function tokensFor(durationMs: number, users: User[]): Promise<number[]> {
    const endAt = Date.now() + durationMs;
    const before = row.stumbles;
    const all = await Promise.all(world.replicas.map((replica) => tokensUntil(endAt, replica, users)));
    const times = all.flat();
    const stumbles = row.stumbles - before;
    const tries = times.length + stumbles;
    demand(stumbles <= MAX_STUMBLES * tries, `${stumbles} of ${tries} answers were 503`);
    return times;
  }

  async function tokensUntil(endAt: number, replica: Replica, users: User[]): Promise<number[]> {
    const times: number[] = [];
    while (Date.now() < endAt) {
      for (const user of users) times.push((await serve(replica, user)).ms);
      await delay(5);
    }
    return times;
  }

  async function signUp(replica = world.replica(0)): Promise<User> {
    const { user, answer } = await trySignUp(replica);
    if (user === null) throw new Error(`sign-up failed: ${answer.status} ${answer.body}`);
    return user;
  }

  /** A user whose session is not in the cache any more. */
  async function signUpUncached(replica?: Replica): Promise<User> {
    const user = await signUp(replica);
    await world.withRedis((redis) => redis.del(cacheKeyOf(user)));
    return user;
  }

  /** @returns null if the answer was 503 */
  async function signUpOr503(replica: Replica): Promise<User | null> {
    const { user, answer } = await trySignUp(replica);
    row.requests += 1;
    demand([201, 503].includes(answer.status), `/signup: ${answer.status}`);
    demand(answer.status === 201 || answer.setCookie.length === 0, '/signup: a refusal with Set-Cookie');
    return user;
  }

  /** Users whose sessions are in the cache. */
  async function signUpCached(count: number): Promise<User[]> {
    const users: User[] = [];
    for (let i = 0; i < count; i += 1) {
      const user = await signUp(world.replica(i));
      await fill(world.replica(i), user);
      users.push(user);
    }
    return users;
  }

  /** Mints until the session is in the cache, which must be soon. */
  async function fill(replica: Replica, user: User): Promise<void> {
    const giveUpAt = Date.now() + FILLED_WITHIN_MS * patience;
    await world.withRedis(async (redis) => {
      do {
        await token(replica, user);
        if ((await redis.exists(cacheKeyOf(user))) === 1) return;
        await delay(20);
      } while (Date.now() < giveUpAt);
      wrong('the cache was not filled');
    });
  }

  function logout(replica: Replica, user: User, allowed = [204]): Promise<Answer> {
    return ask(replica, '/logout', allowed, { cookie: user.cookie, withinMs: REFUSED_WITHIN_MS });
  }

  /** After an acknowledged logout: 404 on every replica within the bound. @returns how long it took */
  async function endsEverywhere(user: User, withinMs: number): Promise<number> {
    const startedAt = Date.now();
    for (const replica of world.replicas) {
      while ((await token(replica, user, [200, 404])).status !== 404) {
        if (Date.now() - startedAt > withinMs * patience) {
          wrong(`200 for longer than ${withinMs * patience} ms after the logout`);
          return Date.now() - startedAt;
        }
        await delay(20);
      }
    }
    return Date.now() - startedAt;
  }

  /** Every replica mints, signs up and logs out again, within 5 s of now, by itself. */
  async function recovers(user: User): Promise<number> {
    const startedAt = Date.now();
    const giveUpAt = startedAt + RECOVERED_WITHIN_MS * patience;
    for (const replica of world.replicas) {
      for (;;) {
        const minted = await token(replica, user, [200, 503]);
        const { answer, user: newcomer } = await trySignUp(replica);
        const isWell =
          minted.status === 200 &&
          newcomer !== null &&
          (await post(replica, '/logout', newcomer)).status === 204;
        if (isWell) break;
        if (Date.now() > giveUpAt) {
          wrong(`not back in time: /token ${minted.status}, /signup ${answer.status}`);
          break;
        }
        await delay(50);
      }
    }
    return Date.now() - startedAt;
  }
}

export async function trySignUp(replica: Replica): Promise<{ user: User | null; answer: Answer }> {
  const credentials = {
    email: `${randomBytes(8).toString('hex')}@example.com`,
    password: randomBytes(18).toString('base64url'),
  };
  const answer = await post(replica, '/signup', { body: JSON.stringify(credentials) });
  if (answer.status !== 201) return { user: null, answer };
  const cookie = answer.setCookie[0]?.split(';')[0] ?? '';
  return { user: { ...credentials, cookie, id: JSON.parse(answer.body).user.id }, answer };
}

export function subjectOf({ body }: Answer): string {
  const [, payload = ''] = JSON.parse(body).access_token.split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()).sub;
}

/** The time within which that share of the answers came. */
export function quantile(times: number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** An empty line. */
export function createRow(name: string, demanded: string): Row {
  return { name, demanded, requests: 0, wrong: [], slowestMs: 0, stumbles: 0, notes: [] };
}

/** Breaks something while `play` runs, and mends it even if that fails. */
export async function during(
  world: World,
  { begin, end }: { begin(world: World): unknown; end(world: World): unknown },
  play: () => Promise<unknown>,
): Promise<void> {
  try {
    await begin(world);
    await play();
  } finally {
    await end(world);
  }
}

/** Runs scenarios one after the other in a healed world, each as one assertion. */
export async function playAll(t: Test, world: World, scenarios: Scenario[]): Promise<Row[]> {
  const rows: Row[] = [];
  await world.heal();
  for (const { name, demanded, play } of scenarios) {
    const row = createRow(name, demanded);
    rows.push(row);
    const startedAt = Date.now();
    await play(createProbe(row, world), world).catch(
      (error: Error) => void row.wrong.push(error.stack ?? error.message),
    );
    await world.heal().catch((error: Error) => void row.wrong.push(error.message));
    t.same(row.wrong.slice(0, 5), [], `${name}: ${demanded}`);
    t.comment(`${name}: ${Date.now() - startedAt} ms, asked again ${row.stumbles} times`);
    for (const note of row.notes) t.comment(`  ${note}`);
  }
  return rows;
}

/** The rows as a table, one string a line. */
export function tableOf(rows: Row[]): string[] {
  const lines = rows.map((row) => [
    row.name,
    String(row.requests),
    String(row.wrong.length),
    String(Math.round(row.slowestMs)),
    row.demanded,
  ]);
  const head = ['fault', 'requests', 'wrong', 'slowest ms', 'demanded'];
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]?.length ?? 0)));
  return [head, ...lines].map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
