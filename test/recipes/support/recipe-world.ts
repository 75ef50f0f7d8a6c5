import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { loadConfig } from '../../../src/config/config.ts';
import { runCommand } from '../../../src/operator/run-command.ts';
import { build, createPlace, quickSettings, signUp, type TestApp } from '../../helper.ts';
import { mintToken } from '../../support/clients.ts';
import { openForge, partOf, strangersKey, withHeader } from '../../support/gateway-tokens.ts';
import { eventually } from '../../support/gateway-world.ts';

/** How requests for the keys are answered. */
type KeysAnswer = 'served' | 'cut' | 'bad gateway';

/** Doorward on a real socket, with a user who is signed in. */
export async function openRecipeWorld(t: Test) {
  const front = createServer().listen(0, '127.0.0.1');
  const issuer = `http://127.0.0.1:${await portOf(front)}`;
  const place = await createPlace(t);
  const settings = { PUBLIC_URL: issuer, AUDIENCES: 'shop,payments' };
  const { app } = await build(t, settings, place);
  await app.ready();

  let keysAnswer: KeysAnswer = 'served';
  front.on('request', (request, response) => {
    if (keysAnswer === 'served' || request.url !== '/.well-known/jwks.json') app.routing(request, response);
    else fail(response, keysAnswer);
  });
  t.teardown(() => {
    front.closeAllConnections();
    front.close();
  });

  const user = await signUp(app);
  const { cookie } = user;
  const config = loadConfig({ ...quickSettings, ...place, ...settings });
  return {
    issuer,
    userId: user.user.id,
    answerKeys: (answer: KeysAnswer) => {
      keysAnswer = answer;
    },
    mint: (wish: object) => mintToken(app, cookie, wish),
    /** Another key, which services could not fetch in advance. Waits until Doorward signs with it. */
    replaceKey: async ({ revoke }: { revoke: boolean }) => {
      const before = await kidOf(app);
      await runCommand(config, 'keys.rotate', { now: true, ...(revoke && { revoke: before }) });
      await eventually(async () => (await kidOf(app)) !== before, 'a token of the new key');
    },
    mintForNewUser: () => mintForNewUser(app),
    signOut: () => app.inject({ method: 'POST', url: '/logout', headers: { cookie } }),
    forge: await openForge(place),
  };
}

export type RecipeWorld = Awaited<ReturnType<typeof openRecipeWorld>>;

/** Tokens by what is special about them. All but the good ones must be refused at the shop. */
export async function mintAll({ mint, forge }: RecipeWorld) {
  const good = await mint({ audience: 'shop' });
  const kid = String(partOf(good, 0).kid);
  const hourAgo = Math.floor(Date.now() / 1000) - 3600;
  const once = { typ: 'one-time+jwt' };
  return {
    good: { 'for this service': good, 'for several services': await mint({}) },
    bad: {
      'wrong audience': await mint({ audience: 'payments' }),
      'single-use': await mint({ single_use: true, audience: 'shop' }),
      'single-use, with the audience of no service': await forge(good, {
        header: once,
        claims: { aud: 'urn:doorward:once:shop' },
      }),
      'single-use, with the audience of this service': await forge(good, { header: once }),
      expired: await forge(good, { claims: { iat: hourAgo - 60, exp: hourAgo } }),
      'of another issuer': await forge(good, { claims: { iss: 'https://auth.example.org' } }),
      'without a type': await forge(good, { header: { typ: undefined } }),
      unsigned: withHeader(good, { alg: 'none', typ: 'at+jwt', kid }),
      "signed by a stranger's key": await forge(good, { key: strangersKey() }),
      'with an unknown kid': await forge(good, { header: { kid: 'unknown' }, key: strangersKey() }),
      'no token at all': 'nonsense',
    },
  };
}

async function mintForNewUser(app: TestApp['app']): Promise<string> {
  return mintToken(app, (await signUp(app)).cookie, { audience: 'shop' });
}

async function kidOf(app: TestApp['app']): Promise<string> {
  return String(partOf(await mintForNewUser(app), 0).kid);
}

function fail(response: ServerResponse, answer: KeysAnswer): void {
  if (answer === 'cut') response.destroy();
  else response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
}

async function portOf(server: ReturnType<typeof createServer>): Promise<number> {
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
  return (server.address() as AddressInfo).port;
}
