import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { createPlace, newCredentials } from '../helper.ts';
import { cookiesOf, postJson, startServer } from './server-process.ts';

/** Promise 6 of the design. */
test('of 200 wrong passwords at once over three replicas ten are looked at, and the owner comes in meanwhile', async (t) => {
  const env = { ...(await createPlace(t)), PUBLIC_URL: 'http://localhost:3000', NODE_ENV: 'test' };
  const servers = Array.from({ length: 3 }, () => startServer(t, env));
  const urls = await Promise.all(servers.map((server) => server.url()));
  const owner = newCredentials();
  const signedUp = await postJson(`${urls[0]}/signup`, owner);
  t.equal(signedUp.status, 201);

  for (const email of [owner.email, newCredentials().email]) {
    const guesses = Array.from({ length: 200 }, async (_, at) => {
      const password = randomBytes(12).toString('base64url');
      const response = await postJson(`${urls[at % 3]}/login`, { email, password });
      return { status: response.status, retryAfter: response.headers.get('retry-after') };
    });
    const meanwhile = postJson(`${urls[1]}/login`, owner, cookiesOf(signedUp));
    const answers = await Promise.all(guesses);
    t.equal(answers.filter(({ status }) => status === 401).length, 10, 'ten are looked at');
    const refused = answers.filter(({ status }) => status === 429);
    t.equal(refused.length, 190);
    t.ok(refused.every(({ retryAfter }) => Number(retryAfter) >= 1 && Number(retryAfter) <= 900));
    t.equal((await meanwhile).status, 200, 'the device that the owner has signed in on');
    t.equal((await postJson(`${urls[2]}/login`, { ...owner, email })).status, 429, 'another device');
  }
});
