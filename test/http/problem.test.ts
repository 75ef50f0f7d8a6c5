import { PassThrough } from 'node:stream';
import Fastify, { type ConnectionError, type InjectOptions, LogController } from 'fastify';
import { test } from 'tap';
import { AppError, type ErrorCode } from '../../src/core/errors.ts';
import { addRequestLog, createLogger } from '../../src/http/logging.ts';
import {
  ProblemSchema,
  problemOf,
  problemResponses,
  refuseConnection,
  sendProblem,
} from '../../src/http/problem.ts';
import {
  appOrigin,
  build,
  codeOf,
  createPlace,
  createWire,
  newCredentials,
  runSql,
  signUp,
} from '../helper.ts';

const { enum: allCodes } = ProblemSchema.properties.code as unknown as { enum: ErrorCode[] };

/** Those that only a real socket can meet: see test/e2e/sockets.test.ts. */
const socketCodes = ['duplicate_host', 'headers_too_large', 'request_timeout'];
/** Codes for a token without the right scope, and for what no token may do: see test/gateway/doctor.test.ts and test/admin. */
const tokenCodes = [
  'insufficient_scope',
  'insufficient_user_authentication',
  'last_admin',
  'only_on_the_machine',
];
/** Codes that depend on the load or the client's address: see rate-limits.test.ts. */
const loadCodes = ['overloaded', 'rate_limited'];
/** Codes that need a mail, or a sign-in of some time ago: see test/accounts. */
const accountCodes = ['password_required', 'reauthentication_required'];

test('each code can be met', async (t) => {
  const place = await createPlace(t);
  const wire = await createWire(t, place.DATABASE_URL);
  const { app } = await build(t, { DATABASE_URL: wire.url, REVOCATIONS: 'clients' }, place);
  const { cookie, email } = await signUp(app);
  const type = { 'content-type': 'application/json' };
  const requests: { [Code in ErrorCode]?: InjectOptions } = {
    malformed_request: { method: 'POST', url: '/login', payload: '{', headers: type },
    validation_failed: { method: 'POST', url: '/login', payload: {} },
    duplicate_cookie: { url: '/me', headers: { cookie: `${cookie}; ${cookie}` } },
    unknown_audience: { method: 'POST', url: '/token', payload: { audience: 'x' } },
    invalid_credentials: { method: 'POST', url: '/login', payload: newCredentials() },
    not_signed_in: { url: '/me' },
    origin_not_allowed: { method: 'POST', url: '/token', headers: { origin: `${appOrigin}1` } },
    invalid_client: { url: '/revocations' },
    invalid_token: { url: '/admin/doctor', headers: { authorization: 'Bearer x' } },
    forwarded_request_refused: { url: '/forward-auth', headers: { 'x-auth-subject': 'x' } },
    invalid_code: { method: 'POST', url: '/sessions/disown', payload: { code: 'x'.repeat(43) } },
    not_found: { url: '/nowhere' },
    session_not_found: { method: 'POST', url: '/token' },
    email_taken: { method: 'POST', url: '/signup', payload: { ...newCredentials(), email } },
    body_too_large: { method: 'POST', url: '/token', payload: `"${'x'.repeat(17_000)}"`, headers: type },
    uri_too_long: { method: 'DELETE', url: `/sessions/${'x'.repeat(200)}` },
    unsupported_media_type: { method: 'POST', url: '/token', payload: 'x' },
  };
  const meet = async (code: string, request: InjectOptions) => {
    const response = await app.inject(request);
    t.equal(codeOf(response), code);
    const { type, title, status } = response.json();
    t.equal(type, `urn:doorward:problem:${code}`);
    t.match(title, /^[A-Z].+[^.]$/);
    t.equal(status, response.statusCode);
    t.equal(response.headers['cache-control'], 'no-store');
    t.type(response.headers['x-request-id'], 'string');
  };
  for (const [code, request] of Object.entries(requests)) await meet(code, request);

  await runSql(place.DATABASE_URL, 'drop table sessions');
  await meet('internal_error', { url: '/sessions', headers: { cookie } });
  wire.cut();
  await meet('unavailable', { method: 'POST', url: '/login', payload: newCredentials() });

  const met = [
    ...Object.keys(requests),
    'internal_error',
    'unavailable',
    ...socketCodes,
    ...tokenCodes,
    ...loadCodes,
    ...accountCodes,
  ];
  t.strictSame(met.sort(), [...allCodes].sort());
});

test('a 500 says nothing of its cause', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  await runSql(place.DATABASE_URL, 'drop table users cascade');
  const response = await app.inject({ method: 'POST', url: '/login', payload: newCredentials() });
  t.strictSame(response.json(), {
    type: 'urn:doorward:problem:internal_error',
    title: 'Something went wrong on our side',
    status: 500,
    code: 'internal_error',
  });
});

/** An app with only the error handler and a route that throws the given error. */
function appThatThrows(error: unknown, lines: string[] = []) {
  const loggerInstance = createLogger('info', false, { write: (line) => void lines.push(line) });
  const logController = new LogController({ disableRequestLogging: true });
  const app = Fastify({ loggerInstance, logController });
  addRequestLog(app);
  app.setErrorHandler(sendProblem);
  app.get('/', async () => {
    throw error;
  });
  return app;
}

test('what frameworks and libraries throw becomes a problem of ours', async (t) => {
  const thrown: [object, number, string][] = [
    [{ code: 'FST_UNDER_PRESSURE', statusCode: 503 }, 503, 'overloaded'],
    [{ code: 'FST_ERR_HANDLER_TIMEOUT', statusCode: 503 }, 503, 'unavailable'],
    [{ statusCode: 408 }, 408, 'request_timeout'],
    [{ statusCode: 418 }, 400, 'malformed_request'],
    [{ statusCode: 502 }, 500, 'internal_error'],
    [{ code: 'ENOENT' }, 500, 'internal_error'],
    [{}, 500, 'internal_error'],
  ];
  for (const [fields, status, code] of thrown) {
    const error = Object.assign(new Error('secret'), fields);
    const response = await appThatThrows(error).inject('/');
    t.equal(response.statusCode, status);
    t.equal(codeOf(response), code);
    t.equal(response.headers['retry-after'], status === 503 ? '1' : undefined);
    if (status >= 500) t.notMatch(response.body, /secret/);
  }
});

test('what we throw keeps its detail, its errors and when to come back, and hides its cause', async (t) => {
  const error = new AppError('rate_limited', {
    detail: 'Later.',
    retryAfterSeconds: 7,
    errors: [{ path: '/a', message: 'is b' }],
    cause: new Error('secret'),
  });
  const response = await appThatThrows(error).inject('/');
  t.equal(response.headers['retry-after'], '7');
  t.strictSame(response.json(), {
    type: 'urn:doorward:problem:rate_limited',
    title: 'Too many requests',
    status: 429,
    detail: 'Later.',
    code: 'rate_limited',
    errors: [{ path: '/a', message: 'is b' }],
  });
});

test('a failure without a cause is logged itself, and a refusal of too much is not', async (t) => {
  for (const [code, count] of [
    ['unavailable', 1],
    ['overloaded', 0],
  ] as const) {
    const lines: string[] = [];
    t.equal((await appThatThrows(new AppError(code), lines).inject('/')).statusCode, 503);
    const failures = lines.filter((line) => line.includes('request failed'));
    t.equal(failures.length, count, code);
    t.ok(failures.every((line) => line.includes('"AppError"')));
  }
});

test('the bytes of a problem are final, whatever the schema of the route says', async (t) => {
  const app = Fastify();
  app.setErrorHandler(sendProblem);
  const schema = { response: { '4xx': { type: 'object', properties: { other: { type: 'string' } } } } };
  app.get('/', { schema }, async () => {
    throw new AppError('not_found');
  });
  t.equal((await app.inject('/')).body, problemOf(new AppError('not_found')).body);
});

test('a rule of a schema that has no words of ours is told in the words of the validator', async (t) => {
  const app = Fastify();
  app.setErrorHandler(sendProblem);
  const querystring = {
    type: 'object',
    properties: { day: { type: 'string', format: 'date' }, few: { type: 'string', maxLength: 1 } },
  };
  app.get('/', { schema: { querystring } }, async () => 'ok');
  t.strictSame((await app.inject('/?day=x')).json().errors, [
    { path: '/day', message: 'has the wrong format' },
  ]);
  t.strictSame((await app.inject('/?few=xx')).json().errors, [
    { path: '/few', message: 'must NOT have more than 1 characters' },
  ]);
});

test('an issue without a message is still told', async (t) => {
  const validation = [{ instancePath: '/a', keyword: 'k', params: {}, schemaPath: '' }];
  const response = await appThatThrows(Object.assign(new Error(), { validation })).inject('/');
  t.strictSame(response.json().errors, [{ path: '/a', message: 'is not valid' }]);
});

test('responses of one status are documented together', async (t) => {
  const responses = problemResponses('not_found', 'session_not_found', 'unavailable');
  t.match(responses, {
    404: { description: '`not_found`: Not found; `session_not_found`: No such session' },
    503: { description: '`unavailable`: A part of the server does not answer: try again' },
  });
});

/** What `refuseConnection` writes to a socket before it ends it. */
async function refuse(code: string): Promise<string> {
  const socket = new PassThrough();
  refuseConnection({ code } as ConnectionError, socket as never);
  const chunks = await socket.toArray();
  return Buffer.concat(chunks).toString();
}

test('a connection that makes no sense is told why, in HTTP', async (t) => {
  for (const [code, status, problem] of [
    ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large', 'headers_too_large'],
    ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout', 'request_timeout'],
    ['HPE_INVALID_METHOD', '400 Bad Request', 'malformed_request'],
  ] as const) {
    const [head = '', body = ''] = (await refuse(code)).split('\r\n\r\n');
    const [statusLine, ...headers] = head.split('\r\n');
    t.equal(statusLine, `HTTP/1.1 ${status}`);
    t.strictSame(headers, [
      'Content-Type: application/problem+json; charset=utf-8',
      `Content-Length: ${body.length}`,
      'Cache-Control: no-store',
      'Connection: close',
    ]);
    t.equal(JSON.parse(body).code, problem);
  }
});

test('a connection that is gone is told nothing', async (t) => {
  const reset = new PassThrough();
  refuseConnection({ code: 'ECONNRESET' } as ConnectionError, reset as never);
  t.ok(reset.destroyed);
  const ended = new PassThrough().end();
  refuseConnection({ code: 'HPE_INVALID_METHOD' } as ConnectionError, ended as never);
  t.ok(ended.destroyed);
  t.equal(ended.read(), null);
});
