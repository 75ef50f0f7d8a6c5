import type { Test } from 'tap';
import { openStream } from './event-stream.ts';
import { type Answer, ask, bearer, mint, sendRaw, signUp, type World } from './gateway-world.ts';

/** A guarded path behind a gateway that asks `/forward-auth`. */
type Door = {
  /** Its URL at the gateway. */
  url: string;
  world: World;
};

type Handover = Door & {
  /** Whether the gateway takes the session cookie for credentials. */
  takesCookie?: boolean;
};

type Request = { headers: Record<string, string>; method?: string };

/** More than one network may have in a minute. */
const MANY_MISSES = 1_000;

const ENDED = ['__Host-g_token=', '__Secure-g_token=', 'g_token='];

/** What the service behind a guarded path gets: who it is, and the caller's own cookies, but nothing that is forged. */
export async function testHandover(t: Test, { url, world, takesCookie = true }: Handover): Promise<void> {
  const user = await signUp(world.origin, world.doorward.url);
  const { authorization } = bearer(await mint(world.origin, user, undefined, world.doorward.url));

  await t.test(
    'the session cookie stays outside under each of its names, all other cookies go on',
    async (t) => {
      const { cookie } = user;
      const token = String(cookie.split('=')[1]);
      const cookies: [sent: string[], passed: string[]][] = [
        [[cookie], []],
        [[`${cookie}; a=1`], ['a=1']],
        [[`a=1; ${cookie}`], ['a=1']],
        [[`a=1; ${cookie}; b="x=y"; c=3`], ['a=1', 'b="x=y"', 'c=3']],
        [[`a=1;${cookie};b=2`], ['a=1', 'b=2']],
        [[`g_token=${token}; ${cookie}; a=1; __Secure-g_token=${token}`], ['a=1']],
        [[`my_g_token=1; ${cookie}; g_token2=2; G_TOKEN=3`], ['my_g_token=1', 'g_token2=2', 'G_TOKEN=3']],
        [
          ['a=1', cookie, 'b=2'],
          ['a=1', 'b=2'],
        ],
        [
          [`a=${'x'.repeat(3000)}; ${cookie}`, `b=${'y'.repeat(3000)}`],
          [`a=${'x'.repeat(3000)}`, `b=${'y'.repeat(3000)}`],
        ],
      ];
      for (const [sent, passed] of cookies) {
        for (const credentials of [...(takesCookie ? [[]] : []), [`Authorization: ${authorization}`]]) {
          const { status } = await send(url, [...sent.map((line) => `Cookie: ${line}`), ...credentials]);
          t.equal(status, 200, sent.join().slice(0, 60));
          const seen = headersOf(world, 'cookie')
            .flatMap((line) => line.split(/; ?/))
            .filter((pair) => pair !== '');
          t.same(seen, passed);
          t.notOk(
            lastRawHeaders(world).some((text) => text.includes(token)),
            'the generate token is nowhere',
          );
          t.same(headersOf(world, 'x-auth-subject'), [user.id]);
        }
      }
    },
  );

  await t.test('identity that the client brings along never arrives, however it is spelled', async (t) => {
    const names = ['X-Auth-Subject', 'X-Auth-Email', 'X-Auth-Session', 'X-Auth-Scope'];
    const spell = (name: string) => [
      ...[name, name.toLowerCase(), name.toUpperCase(), name.replaceAll('-', '_'), name.replace('-', '_')],
      ...[name.replace(/-(?=S|E)/, '_'), name.replaceAll('-', '.'), name.replaceAll('-', '~')],
    ];
    const forgeries = names.flatMap(spell).map((name) => [`${name}: admin`]);
    for (const name of names) {
      forgeries.push([`${name}: admin`, `${name.toLowerCase()}: admin`], [`${name}: admin`, `${name}: `]);
      // A hop-by-hop header is removed on the way (RFC 9110 §7.6.1), by some gateways before they ask.
      forgeries.push([`${name}: admin`, `Connection: close, ${name}`]);
    }
    for (const forged of forgeries) {
      const cookie = takesCookie ? [`Cookie: ${user.cookie}`] : [];
      for (const credentials of [...cookie, `Authorization: ${authorization}`]) {
        const before = world.members.requests.length;
        const { status } = await send(url, [credentials, ...forged]);
        if (world.members.requests.length === before)
          t.ok([400, 403].includes(status), `${forged} ${status}`);
        else t.notOk(lastRawHeaders(world).includes('admin'), String(forged));
      }
    }
  });
}

/** Sends header lines unchanged. */
function send(url: string, lines: string[]): Promise<{ status: number }> {
  const { host, port, pathname } = new URL(url);
  const usual = [`GET ${pathname} HTTP/1.1`, `Host: ${host}`];
  const closing = lines.some((line) => line.startsWith('Connection')) ? [] : ['Connection: close'];
  return sendRaw(Number(port), [...usual, ...closing, ...lines]);
}

/** The last request to the service: names and values in turn. */
function lastRawHeaders({ members }: World): string[] {
  return members.requests.at(-1)?.rawHeaders ?? [];
}

function headersOf(world: World, name: string): string[] {
  const raw = lastRawHeaders(world);
  return raw.filter((_value, at) => at % 2 === 1 && raw[at - 1]?.toLowerCase() === name);
}

/** Everything that `/forward-auth` may answer but yes must reach the client: status, code, and the headers that count. */
export async function testRefusals(t: Test, { url, world }: Door): Promise<void> {
  const { cookie } = await signUp(world.origin, world.doorward.url);
  const unknown = () =>
    `__Host-g_token=${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')}`;
  const refusalOf = ({ headers, method = 'GET' }: Request) => ask(url, { method, headers });
  const before = world.members.requests.length;

  await t.test('400, with the cookies that mend it', async (t) => {
    for (const method of ['GET', 'POST']) {
      const headers = { cookie: `${cookie}; ${cookie}x`, origin: world.origin };
      const answer = await refusalOf({ method, headers });
      isProblem(t, answer, 400, 'duplicate_cookie');
      const expired = answer.headers.getSetCookie();
      t.same(
        expired.map((line) => line.replace(/=.*/, '=')),
        ENDED,
      );
      for (const line of expired) t.match(line, /^[\w-]+=; Max-Age=0; Path=\/; HttpOnly/);
    }
  });

  await t.test('401, with the challenge', async (t) => {
    const nobody = await refusalOf({ headers: {} });
    isProblem(t, nobody, 401, 'not_signed_in');
    t.equal(nobody.headers.get('www-authenticate'), 'Bearer realm="doorward"');
    const bad = await refusalOf({ headers: { ...bearer('nonsense'), cookie } });
    isProblem(t, bad, 401, 'invalid_token');
    t.match(bad.headers.get('www-authenticate'), /^Bearer .*error="invalid_token"/);
  });

  await t.test('403, with its own reason', async (t) => {
    const foreign = { cookie, origin: 'https://evil.example' };
    for (const method of ['POST', 'DELETE', 'PROPFIND'])
      isProblem(t, await refusalOf({ method, headers: foreign }), 403, 'origin_not_allowed');
    const forged = { cookie, 'x-auth-subject': 'admin' };
    isProblem(t, await refusalOf({ headers: forged }), 403, 'forwarded_request_refused');
  });

  await t.test('431', async (t) => {
    const large = Object.fromEntries(['a', 'b', 'c'].map((name) => [`x-${name}`, name.repeat(6000)]));
    isProblem(t, await refusalOf({ headers: { ...large, cookie } }), 431, 'headers_too_large');
  });

  await t.test('503, while Doorward cannot know', async (t) => {
    world.database.cut();
    const answer = await refusalOf({ headers: { cookie: unknown() } });
    isProblem(t, answer, 503, 'unavailable');
    t.equal(answer.headers.get('retry-after'), '1');
    world.database.mend();
  });

  await t.test('429, with the time to wait', async (t) => {
    let answer = await refusalOf({ headers: { cookie: unknown() } });
    for (let asked = 0; answer.status !== 429 && asked < MANY_MISSES; asked += 1)
      answer = await refusalOf({ headers: { cookie: unknown() } });
    isProblem(t, answer, 429, 'rate_limited');
    t.equal(answer.headers.get('retry-after'), '60');
  });

  t.equal(world.members.requests.length, before, 'and none of these requests reaches the service');
}

function isProblem(t: Test, { status, headers, body }: Answer, expected: number, code: string): void {
  t.equal(status, expected, body);
  t.match(headers.get('content-type'), /^application\/problem\+json/);
  t.equal(headers.get('cache-control'), 'no-store');
  t.equal(body.startsWith('{') && JSON.parse(body).code, code);
  t.notOk(headers.has('authorization'));
}

/** A gateway that collects pieces of an answer before it passes them on would keep them until the stream ends. */
export async function hasBeats(t: Test, gatewayPort: number): Promise<void> {
  const stream = openStream(gatewayPort, [], '/auth/revocations');
  t.teardown(() => stream.socket.destroy());
  await stream.says(/(event: beat[\s\S]*){3}/);
  t.match(stream.text(), /^HTTP\/1\.1 200 [\s\S]*content-type: text\/event-stream/i);
}
