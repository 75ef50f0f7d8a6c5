import { randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Config } from '../../src/config/config.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { basic } from '../support/clients.ts';
import type { Secrets } from './secrets.ts';
import { type Answer, accessTokenOf, sessionOf, type Wire } from './wire.ts';

/** What someone does who may: each use of a route by its method and path, with what it must answer. */
type Uses = Record<string, () => Promise<void>>;

export type Member = { uses: Uses; doAll(): Promise<void> };

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** A service client with a secret, and one that signs assertions. */
export async function addClients(config: Config, secrets: Secrets) {
  const audiences = ['payments', config.PUBLIC_URL];
  const scopes = ['audit', 'doctor', 'sessions', 'clients', 'keys', 'users:read', 'users:write'].map(
    (name) => `admin:${name}`,
  );
  const { client_secret } = await runCommand(config, 'clients.add', { id: 'payments', audiences, scopes });
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const public_keys = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' };
  await runCommand(config, 'clients.add', { id: 'books', audiences: ['payments'], public_keys });
  secrets.keep("a client's private key", String((await exportJWK(privateKey)).d));
  const secret = secrets.keep("a client's secret", String(client_secret), {
    digestMayBeIn: ['the database'],
  });
  const assert = async () => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: 'books', sub: 'books', aud: config.PUBLIC_URL, iat: now, exp: now + 60 };
    const jti = randomBytes(16).toString('base64url');
    const signed = await new SignJWT({ ...claims, jti })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .sign(privateKey);
    secrets.keep('the signature of an assertion', String(signed.split('.')[2]));
    return signed;
  };
  return { secret, assert };
}

type Clients = Awaited<ReturnType<typeof addClients>>;

/** Someone with an account, an old password and a good one, who uses every route as it is meant to be used. */
export function createMember(wire: Wire, secrets: Secrets, clients: Clients): Member {
  const name = randomBytes(24).toString('hex');
  const email = `${secrets.keep('the name of an account', name, { mayBeIn: ['the database', 'an answer', 'a webhook'] })}@canary.example`;
  const password = secrets.make('a password');
  let cookie = '';
  let token = '';

  const enter = async (path: string, as = { email, password }) => {
    const body = JSON.stringify(as);
    const headers = { 'content-type': 'application/json', cookie };
    cookie = `__Host-g_token=${sessionOf(secrets, await wire.send({ method: 'POST', path, headers, body }))}`;
  };
  /** Without a cookie, so that the session of the first account stays. */
  const signUpAnother = async () => {
    cookie = '';
    const another = `${randomBytes(12).toString('hex')}@canary.example`;
    await enter('/signup', { email: another, password: secrets.make('a password') });
  };
  const ask = async (method: string, path: string, headers: Record<string, string> = {}, status = 200) => {
    const answer = await wire.send({ method, path, headers });
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    return answer;
  };
  const say = (path: string, wish: object) => {
    const headers = { 'content-type': 'application/json', cookie };
    return wire.send({ method: 'POST', path, headers, body: JSON.stringify(wish) });
  };
  const mint = async (wish: object) => accessTokenOf(secrets, await say('/token', wish));
  const post = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
    wire.send({
      method: 'POST',
      path,
      headers: { ...FORM, ...headers },
      body: new URLSearchParams(fields).toString(),
    });
  const guessCode = async (path: string, more: object = {}, statuses = [400, NO_MAIL]) =>
    mustBeOneOf(statuses, await say(path, { code: secrets.make('the code of a link'), ...more }));
  const authorization = basic('payments', clients.secret);
  /** As the client with the scopes of operators. */
  const operate = async (method: string, path: string, statuses = [200], wish?: object) => {
    const grant = { grant_type: 'client_credentials', resource: 'http://localhost:3000' };
    const ticket = accessTokenOf(secrets, await post('/oauth/token', grant, { authorization }));
    const headers = {
      authorization: `Bearer ${ticket}`,
      ...(wish && { 'content-type': 'application/json' }),
    };
    const answer = await wire.send({ method, path, headers, ...(wish && { body: JSON.stringify(wish) }) });
    mustBeOneOf(statuses, answer);
    return answer;
  };
  /** A client of its own, and what is done to it. */
  const newClient = async () => {
    const client_id = `c${randomBytes(8).toString('hex')}`;
    const answer = await operate('POST', '/admin/clients', [201], { client_id, audiences: ['payments'] });
    keepClientSecret(answer);
    return client_id;
  };
  const keepClientSecret = ({ body }: Answer) =>
    secrets.keep("a client's secret", JSON.parse(body).client_secret, { digestMayBeIn: ['the database'] });
  const ofNewClient = async (method: string, act = '', wish?: object) =>
    operate(method, `/admin/clients/${await newClient()}${act}`, [200], wish);

  const newUser = async () => {
    const email = `${randomBytes(12).toString('hex')}@canary.example`;
    const wish = { email, password: secrets.make('a password') };
    return JSON.parse((await operate('POST', '/admin/users', [201], wish)).body).id;
  };

  const uses: Uses = {
    'POST /signup': () => enter('/signup'),
    'POST /login': () => enter('/login'),
    'POST /email/verify/send': async () => {
      for (const wish of [{}, { email }]) mustBeOneOf([202, NO_MAIL], await say('/email/verify/send', wish));
    },
    'POST /email/verify': async () => {
      const link = { code: secrets.make('the code of a link'), password };
      const typed = { code: '7K3M-9QXD', email, password };
      for (const wrong of [link, typed]) mustBeOneOf([400, NO_MAIL], await say('/email/verify', wrong));
    },
    'POST /token': async () => {
      token = await mint({});
    },
    'GET /me': async () => void (await ask('GET', '/me', { cookie })),
    'PATCH /me': async () => {
      const hobby = secrets.make('a hobby', { mayBeIn: ['the database', 'an answer'] });
      const headers = { 'content-type': 'application/merge-patch+json', cookie };
      const body = JSON.stringify({ display_name: hobby, metadata: { hobby } });
      mustBe(200, await wire.send({ method: 'PATCH', path: '/me', headers, body }));
    },
    'GET /me/export': async () => void (await ask('GET', '/me/export', { cookie })),
    'POST /me/undo-deletion': async () => void (await ask('POST', '/me/undo-deletion', { cookie })),
    'DELETE /me': async () => {
      const own = cookie;
      await signUpAnother();
      await ask('DELETE', '/me', { cookie }, 204);
      cookie = own;
    },
    'POST /email/change': async () => {
      const other = secrets.keep('a new address', randomBytes(16).toString('hex'), {
        mayBeIn: ['the database'],
      });
      const wish = { email: `${other}@canary.example`, password };
      mustBeOneOf([202, NO_MAIL], await say('/email/change', wish));
    },
    'POST /email/change/confirm': () => guessCode('/email/change/confirm'),
    'POST /email/change/undo': () => guessCode('/email/change/undo'),
    'POST /password/forgot': async () =>
      mustBeOneOf([202, NO_MAIL], await say('/password/forgot', { email })),
    'POST /password/reset': () =>
      guessCode('/password/reset', { password: secrets.make('a password that is not set') }),
    'POST /password/change': async () => {
      const own = cookie;
      await signUpAnother();
      const answer = await say('/password/change', { new_password: secrets.make('a new password') });
      mustBe(200, answer);
      sessionOf(secrets, answer);
      cookie = own;
    },
    'POST /sessions/disown': () => guessCode('/sessions/disown', {}, [400]),
    'GET /sessions': async () => void (await ask('GET', '/sessions', { cookie })),
    'GET /forward-auth': async () => {
      await ask('GET', '/forward-auth', { cookie });
      await ask('GET', '/forward-auth?check=session&cookie=strip', { authorization: `Bearer ${token}` });
    },
    'POST /oauth/token': async () => {
      const grant = { grant_type: 'client_credentials' };
      accessTokenOf(
        secrets,
        await post('/oauth/token', { ...grant, client_id: 'payments', client_secret: clients.secret }),
      );
      accessTokenOf(secrets, await post('/oauth/token', { ...grant, ...(await assertionOf(clients)) }));
    },
    'POST /oauth/introspect': async () => {
      for (const asked of [token, await mint({ single_use: true, audience: 'payments' })])
        mustBe(200, await post('/oauth/introspect', { token: asked }, { authorization }));
    },
    'POST /oauth/revoke': async () => {
      const granted = accessTokenOf(
        secrets,
        await post('/oauth/token', { grant_type: 'client_credentials' }, { authorization }),
      );
      mustBe(200, await post('/oauth/revoke', { token: granted }, { authorization }));
    },
    'GET /admin/doctor': async () => {
      const grant = { grant_type: 'client_credentials', resource: 'http://localhost:3000' };
      const ticket = accessTokenOf(secrets, await post('/oauth/token', grant, { authorization }));
      await ask('GET', '/admin/doctor', { authorization: `Bearer ${ticket}` });
    },
    'GET /admin/sessions': async () => void (await operate('GET', `/admin/sessions?user_id=${NOBODY}`)),
    'GET /admin/users/:id/sessions': async () =>
      void (await operate('GET', `/admin/users/${await newUser()}/sessions`)),
    'DELETE /admin/users/:id/sessions': async () =>
      void (await operate('DELETE', `/admin/users/${await newUser()}/sessions`)),
    'DELETE /admin/sessions/:id': async () => {
      const own = cookie;
      await signUpAnother();
      const [session] = JSON.parse((await ask('GET', '/sessions', { cookie })).body).sessions;
      cookie = own;
      await operate('DELETE', `/admin/sessions/${session.id}`, [204]);
    },
    'GET /admin/users': async () => void (await operate('GET', '/admin/users?limit=2&status=active')),
    'POST /admin/users': async () => void (await newUser()),
    'GET /admin/users/:id': async () => void (await operate('GET', `/admin/users/${await newUser()}`)),
    'PATCH /admin/users/:id': async () =>
      void (await operate('PATCH', `/admin/users/${await newUser()}`, [200], { display_name: 'Ada' })),
    'DELETE /admin/users/:id': async () =>
      void (await operate('DELETE', `/admin/users/${await newUser()}`, [204])),
    'POST /admin/users/:id/ban': async () =>
      void (await operate('POST', `/admin/users/${await newUser()}/ban`, [200], { reason: 'spam' })),
    'POST /admin/users/:id/unban': async () =>
      void (await operate('POST', `/admin/users/${await newUser()}/unban`)),
    'POST /admin/users/:id/force-reset': async () =>
      void (await operate('POST', `/admin/users/${await newUser()}/force-reset`, [200, NO_MAIL])),
    'GET /admin/clients': async () => void (await operate('GET', '/admin/clients')),
    'POST /admin/clients': async () => void (await newClient()),
    'GET /admin/clients/:id': async () => void (await ofNewClient('GET')),
    'PATCH /admin/clients/:id': async () => void (await ofNewClient('PATCH', '', { scopes: ['orders'] })),
    'POST /admin/clients/:id/rotate-secret': async () =>
      void keepClientSecret(await ofNewClient('POST', '/rotate-secret')),
    'POST /admin/clients/:id/disable': async () => void (await ofNewClient('POST', '/disable')),
    'POST /admin/clients/:id/enable': async () => void (await ofNewClient('POST', '/enable')),
    'GET /admin/keys': async () => void (await operate('GET', '/admin/keys')),
    'POST /admin/keys/rotate': async () => void (await operate('POST', '/admin/keys/rotate')),
    'GET /admin/outbox': async () => void (await operate('GET', '/admin/outbox')),
    'POST /admin/outbox/:id/retry': async () =>
      void (await operate('POST', `/admin/outbox/${NOBODY}/retry`, [404])),
    'DELETE /admin/outbox/:id': async () => void (await operate('DELETE', `/admin/outbox/${NOBODY}`, [404])),
    'GET /admin/audit': async () => void (await operate('GET', '/admin/audit')),
    'GET /admin/settings': async () => void (await operate('GET', '/admin/settings')),
    'GET /admin/roles': async () => void (await operate('GET', '/admin/roles')),
    'PUT /admin/roles/:name': async () =>
      void (await operate('PUT', '/admin/roles/editor', [200], { scopes: ['posts'] })),
    'DELETE /admin/roles/:name': async () => void (await operate('DELETE', '/admin/roles/nobody', [404])),
    'GET /admin/stats': async () => void (await operate('GET', '/admin/stats')),
    'DELETE /sessions': async () => void (await ask('DELETE', '/sessions', { cookie }, 204)),
    'DELETE /sessions/:id': async () => {
      const [old] = JSON.parse((await ask('GET', '/sessions', { cookie })).body).sessions;
      await ask('DELETE', `/sessions/${old.id}`, { cookie }, 204);
      await enter('/login');
    },
    'POST /logout': async () => void (await ask('POST', '/logout', { cookie }, 204)),
    ...Object.fromEntries(PUBLIC.map((path) => [`GET ${path}`, async () => void (await ask('GET', path))])),
  };

  return {
    uses,
    async doAll() {
      for (const use of Object.values(uses)) await use();
    },
  };
}

const PUBLIC = [
  '/',
  '/health/live',
  '/health/ready',
  '/revocations',
  '/.well-known/jwks.json',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
];

async function assertionOf({ assert }: Clients) {
  const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  return { client_assertion_type, client_assertion: await assert() };
}

/** No user and no message has it. */
const NOBODY = '01890a5d-ac96-774b-bcce-b302099a8057';

/** A server without `SMTP_URL` that is not embedded. */
const NO_MAIL = 404;

function mustBe(status: number, answer: Answer): void {
  mustBeOneOf([status], answer);
}

function mustBeOneOf(statuses: number[], answer: Answer): void {
  if (!statuses.includes(answer.status)) throw new Error(`${answer.status} ${answer.body}`);
}
