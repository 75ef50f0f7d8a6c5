import t from 'tap';
import { startCaddy } from '../support/caddy.ts';
import { hasBeats, testHandover, testRefusals } from '../support/gateway-checks.ts';
import { ask, openWorld, signUp } from '../support/gateway-world.ts';

t.setTimeout(300_000);

const world = await openWorld(t);
await startCaddy(t, world);
const { origin, members } = world;
const url = `${origin}/cart`;
const { cookie, email, id } = await signUp(origin, world.doorward.url);

/** The value of a header of the last request to the service. */
const seen = (name: string) => members.requests.at(-1)?.headers[name];

t.test('cookie outside, access token inside', async (t) => {
  for (const method of ['GET', 'POST', 'PROPFIND']) {
    const { status } = await ask(`${url}/7?a=%E9`, { method, headers: { cookie, origin } });
    t.equal(status, 200, method);
    t.match(members.requests.at(-1), { method, url: '/cart/7?a=%E9' });
    t.match(seen('authorization'), /^Bearer ey/);
    t.same([seen('x-auth-subject'), seen('x-auth-email')], [id, email]);
  }
});

t.test('the stream of revocations comes through piece by piece', async (t) => {
  await hasBeats(t, world.gatewayPort);
});

t.test('the guarded service gets what is its own', async (t) => {
  await testHandover(t, { url, world });
});

t.test('a header of the client does not become its cookie', async (t) => {
  t.equal((await ask(url, { headers: { cookie, 'x-service-cookie': 'role=admin' } })).status, 200);
  t.notMatch(JSON.stringify(members.requests.at(-1)?.rawHeaders), /admin|service-cookie/i);
});

t.test('each refusal of the door reaches the client as Doorward wrote it', async (t) => {
  await testRefusals(t, { url, world });
});

t.test('while Doorward is away nobody passes', async (t) => {
  const before = members.requests.length;
  await world.doorward.stop('SIGKILL');
  t.equal((await ask(url, { headers: { cookie } })).status, 502);
  t.equal(members.requests.length, before);
});
