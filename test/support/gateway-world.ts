import { createServer, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { createPlace, createWire, newCredentials, type Place, type Wire } from '../helper.ts';
import { freePort } from './free-port.ts';
import { endWithThisProcess, type Running, says, start, until } from './gateway-program.ts';
import { doorward, type ServerProcess, startServer } from './processes.ts';

type Teardown = { teardown(undo: () => unknown): void };

type Settings = Record<string, string>;

/** The gateway's own address, different from that of the clients, 127.0.0.1. */
export const GATEWAY_ADDRESS = '127.0.0.9';

/** A service that knows no tokens. It answers with the headers that it received, unchanged. */
type Members = { address: string; requests: IncomingMessage[] };

/** Doorward, the example services, and the port for their gateway. */
export type World = {
  place: Place;
  /** Doorward's connection to its database. */
  database: Wire;
  /** The settings that Doorward runs with. */
  settings: Settings;
  doorward: ServerProcess;
  shop: Running;
  payments: Running;
  members: Members;
  gatewayPort: number;
  /** The public origin: that of the gateway. */
  origin: string;
  /** For the gateway's configuration: host:port. */
  addresses: { doorward: string; shop: string; payments: string; members: string };
};

/** Starts everything but the gateway. */
export async function openWorld(t: Teardown, wishes: Settings = {}): Promise<World> {
  const [place, gatewayPort] = [await createPlace(t), await freePort()];
  const origin = `http://localhost:${gatewayPort}`;
  const database = await createWire(t, place.DATABASE_URL);
  const settings = {
    ...place,
    DATABASE_URL: database.url,
    PATH_PREFIX: '/auth',
    PUBLIC_URL: `${origin}/auth`,
    PUBLIC_APP_URL: origin,
    AUDIENCES: 'shop,payments',
    TRUSTED_PROXIES: GATEWAY_ADDRESS,
    LOG_LEVEL: 'info',
    ...wishes,
  };
  const [server] = await Promise.all([startServer(t, settings), buildPackage(t)]);
  endWithThisProcess(server.pid, teardownOf(t));
  const secret = await addClient(settings, 'payments');
  const shop = startExample(t, 'shop', settings.PUBLIC_URL, server.url);
  const payments = startExample(t, 'payments', settings.PUBLIC_URL, server.url, { CLIENT_SECRET: secret });
  const members = await startMembers(t);
  const addresses = {
    doorward: new URL(server.url).host,
    shop: await addressOf(shop),
    payments: await addressOf(payments),
    members: members.address,
  };
  const services = { doorward: server, shop, payments, members };
  return { place, database, settings, ...services, gatewayPort, origin, addresses };
}

function teardownOf(t: Teardown): Promise<void> {
  return new Promise((resolve) => t.teardown(resolve));
}

/** Runs the build, because the examples import its result. */
export async function buildPackage(t: Teardown): Promise<void> {
  const build = start(t, process.execPath, ['build.ts']);
  const code = await build.ended;
  if (code !== 0) throw new Error(`the build ended with ${code}:\n${build.output()}`);
}

/** `doorward clients add`. @returns the client's secret */
export async function addClient(settings: Settings, id: string, audience = id): Promise<string> {
  const args = ['clients', 'add', id, '--audience', audience, '--json'];
  const { code, stdout, stderr } = await doorward(settings, ...args);
  if (code !== 0) throw new Error(`clients add ended with ${code}: ${stderr}`);
  return JSON.parse(stdout).client_secret;
}

/** `npm start` of an example, on any free port. */
function startExample(
  t: Teardown,
  name: 'shop' | 'payments',
  issuer: string,
  internal: string,
  env: Settings = {},
): Running {
  const wiring = { DOORWARD_URL: issuer, DOORWARD_INTERNAL_URL: `${internal}/auth`, PORT: '0' };
  return start(t, process.execPath, [`examples/${name}/${name}.js`], { ...wiring, ...env });
}

/** host:port of an example, once it listens. */
async function addressOf(example: Running): Promise<string> {
  const [, address = ''] = await says(example, /Server listening at http:\/\/([^"]+)"/);
  return address;
}

async function startMembers(t: Teardown): Promise<Members> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url: request.url, rawHeaders: request.rawHeaders }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  return { address: `127.0.0.1:${address.port}`, requests };
}

export type Answer = { status: number; headers: Headers; body: string };

/** Sends an HTTP request, and follows no redirect. */
export async function ask(url: string, init: RequestInit & { json?: object } = {}): Promise<Answer> {
  const { json, ...rest } = init;
  const headers = new Headers(init.headers);
  if (json !== undefined) headers.set('content-type', 'application/json');
  const body = json === undefined ? init.body : JSON.stringify(json);
  const response = await fetch(url, { ...rest, headers, redirect: 'manual', ...(body != null && { body }) });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

/** A user who signed up through the gateway, and the browser's cookies. */
export type User = { email: string; password: string; cookie: string; setCookie: string; id: string };

/** Signs up as a page of the origin would. @param at the URL for the calls, if not the gateway's */
export async function signUp(origin: string, at = origin): Promise<User> {
  const credentials = newCredentials();
  const answer = await ask(`${at}/auth/signup`, {
    method: 'POST',
    headers: { origin },
    json: credentials,
  });
  if (answer.status !== 201) throw new Error(`sign-up failed: ${answer.status} ${answer.body}`);
  const cookies = answer.headers.getSetCookie().filter((one) => !/^[\w-]*g_device=/.test(one));
  const [setCookie = '', ...others] = cookies;
  if (others.length > 0) throw new Error('more than one cookie');
  const [cookie = ''] = setCookie.split(';');
  return { ...credentials, cookie, setCookie, id: JSON.parse(answer.body).user.id };
}

/** The token from `POST /token` for the user's page. */
export async function mint(
  origin: string,
  { cookie }: Pick<User, 'cookie'>,
  wish?: object,
  at = origin,
): Promise<string> {
  const answer = await ask(`${at}/auth/token`, {
    method: 'POST',
    headers: { cookie, origin },
    ...(wish !== undefined && { json: wish }),
  });
  if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body).access_token;
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}

/**
 * Sends bytes unchanged; the server must close the connection.
 * @returns the status of the first answer; 0 if the connection was closed without one
 */
export async function sendRaw(port: number, lines: string[]): Promise<{ status: number; answer: string }> {
  const socket = connect(port, '127.0.0.1');
  // The answer may come, and the connection may be reset, before everything is sent.
  const failed = new Promise<string>((resolve) => socket.once('error', () => resolve('')));
  // Not `end`: a gateway treats a half-closed connection as a client that has gone.
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const answer = await Promise.race([text(socket).catch(() => ''), failed]);
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0), answer };
}

/** Waits until a condition holds. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await until(holds, () => `${what} never came true`);
}
