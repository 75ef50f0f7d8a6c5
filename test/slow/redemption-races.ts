/**
 * Races for single-use tokens over real HTTP, on three server processes: 10,000 tokens with one contender at each
 * replica, and 40 with fifty contenders. Each token must have exactly one winner.
 */
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { createPlace } from '../helper.ts';
import { addClient } from '../support/clients.ts';
import { type ServerProcess, startServer } from '../support/processes.ts';

t.setTimeout(600_000);

const settings = { AUDIENCES: 'payments', PUBLIC_URL: 'http://localhost:3000', LOG_LEVEL: 'info' };
/** Races that run at the same time, so that they also disturb each other. */
const LANES = 8;

const agent = new Agent({ keepAlive: true });
t.teardown(() => agent.destroy());

type Answer = { status: number; body: string; cookie: string };

async function post(url: string, headers: Record<string, string>, body: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const call = request(url, { method: 'POST', agent, headers }, (response) => {
    const [cookie = ''] = response.headers['set-cookie'] ?? [];
    const status = Number(response.statusCode);
    text(response).then(
      (read) => resolve({ status, body: read, cookie: cookie.split(';')[0] ?? '' }),
      reject,
    );
  });
  call.on('error', reject).end(body);
  return promise;
}

const json = { 'content-type': 'application/json' };

async function signUp(url: string): Promise<string> {
  const credentials = { email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() };
  return (await post(`${url}/signup`, json, JSON.stringify(credentials))).cookie;
}

async function mint(url: string, cookie: string): Promise<string> {
  const wish = JSON.stringify({ single_use: true, audience: 'payments' });
  return JSON.parse((await post(`${url}/token`, { ...json, cookie }, wish)).body).access_token;
}

async function setUp(t: Test) {
  const place = await createPlace(t);
  const servers: ServerProcess[] = [];
  for (let at = 0; at < 3; at += 1) servers.push(await startServer(t, { ...place, ...settings }));
  const { authorization } = await addClient(place, settings);
  const form = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
  const urls = servers.map(({ url }) => url);
  const [first = ''] = urls;
  const cookie = await signUp(first);

  /** One race. Returns the number of winners, and whether any contender got another answer than yes or no. */
  async function race(contenders: number) {
    const token = await mint(first, cookie);
    const answers = await Promise.all(
      Array.from({ length: contenders }, (_, at) =>
        post(`${urls[at % urls.length]}/oauth/introspect`, form, `token=${token}`),
      ),
    );
    const winners = answers.filter(({ body }) => JSON.parse(body).active).length;
    return { winners, failed: answers.filter(({ status }) => status !== 200).length };
  }

  /** @returns the number of races, and of those that did not have one winner */
  async function races(count: number, contenders: number) {
    const result = { races: 0, exceptions: 0, failed: 0 };
    const lane = async () => {
      while (result.races < count) {
        result.races += 1;
        const { winners, failed } = await race(contenders);
        if (winners !== 1) result.exceptions += 1;
        result.failed += failed;
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return result;
  }

  return { races };
}

t.test('one contender at each of three replicas, 10,000 races', async (t) => {
  const { races } = await setUp(t);
  const startedAt = performance.now();
  const result = await races(10_000, 3);
  t.comment(`${JSON.stringify(result)} in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  t.same(result, { races: 10_000, exceptions: 0, failed: 0 });
});

t.test('fifty contenders over three replicas, 40 races', async (t) => {
  const { races } = await setUp(t);
  t.same(await races(40, 50), { races: 40, exceptions: 0, failed: 0 });
});
