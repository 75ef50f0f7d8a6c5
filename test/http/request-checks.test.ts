import { Readable } from 'node:stream';
import fc from 'fast-check';
import { type Test, test } from 'tap';
import { build, codeOf, newCredentials, signUp, type TestApp } from '../helper.ts';

type App = TestApp['app'];

const json = 'application/json';

const send = (app: App, url: string, body: string | Buffer, type = json) =>
  app.inject({ method: 'POST', url, payload: body, headers: { 'content-type': type } });

/** A body that the route accepts. Unknown credentials are enough for that. */
const goodBody = (url: string): Record<string, unknown> =>
  url === '/token' ? { audience: 'api' } : newCredentials();

const routes = ['/signup', '/login', '/token'];

/** Values that no string field accepts, as JSON text. */
const badValues: Record<string, string> = {
  null: 'null',
  'a number': '1',
  zero: '0',
  true: 'true',
  'an array': '["x"]',
  'an empty array': '[]',
  'an object': '{}',
  'a NUL character': '"a\\u0000b"',
  'a lone surrogate': '"\\ud83d"',
  'surrogates in the wrong order': '"\\udd11\\ud83d"',
};

async function refusesAt(t: Test, app: App, url: string, body: string, path: string): Promise<void> {
  const response = await send(app, url, body);
  t.equal(response.statusCode, 400, body.slice(0, 60));
  t.equal(codeOf(response), 'validation_failed');
  t.ok(
    response.json().errors.some((error: { path: string }) => error.path === path),
    `${path} in ${response.body}`,
  );
}

test('a field of the wrong type is refused at its place, never coerced', async (t) => {
  const { app } = await build(t);
  for (const url of routes) {
    for (const field of Object.keys(goodBody(url))) {
      for (const value of Object.values(badValues)) {
        const others = Object.entries(goodBody(url)).filter(([name]) => name !== field);
        const rest = others.map(([name, text]) => `,${JSON.stringify(name)}:${JSON.stringify(text)}`);
        await refusesAt(t, app, url, `{"${field}":${value}${rest.join('')}}`, `/${field}`);
      }
    }
  }
});

test('all that is wrong is told at once', async (t) => {
  const { app } = await build(t);
  const response = await send(app, '/signup', '{"email":1,"more":2}');
  t.strictSame(response.json().errors, [
    { path: '/password', message: 'is required' },
    { path: '/more', message: 'is not a known field' },
    { path: '/email', message: 'must be string' },
  ]);
});

test('an address or a password is required, and neither may be empty', async (t) => {
  const { app } = await build(t);
  for (const field of ['email', 'password']) {
    const body = { ...newCredentials(), [field]: undefined };
    await refusesAt(t, app, '/signup', JSON.stringify(body), `/${field}`);
    await refusesAt(t, app, '/login', JSON.stringify(body), `/${field}`);
    await refusesAt(t, app, '/signup', JSON.stringify({ ...body, [field]: '' }), `/${field}`);
  }
  await refusesAt(t, app, '/login', JSON.stringify({ ...newCredentials(), email: '' }), '/email');
  const noPassword = await send(app, '/login', JSON.stringify({ ...newCredentials(), password: '' }));
  t.equal(codeOf(noPassword), 'invalid_credentials');
  t.equal(codeOf(await send(app, '/token', '{"audience":""}')), 'unknown_audience');
});

test('an unknown field is refused by its JSON Pointer', async (t) => {
  const { app } = await build(t);
  for (const url of routes) {
    for (const [name, path] of [
      ['admin', '/admin'],
      ['Email', '/Email'],
      ['a/b~c', '/a~1b~0c'],
      ['', '/'],
      ['toString', '/toString'],
    ] as const) {
      await refusesAt(t, app, url, JSON.stringify({ ...goodBody(url), [name]: true }), path);
    }
  }
});

test('of very many mistakes only the first 20 are listed', async (t) => {
  const { app } = await build(t);
  const unknown = Object.fromEntries(Array.from({ length: 1_500 }, (_, number) => [`x${number}`, 1]));
  for (const url of routes) {
    const response = await send(app, url, JSON.stringify({ ...goodBody(url), ...unknown }));
    t.equal(codeOf(response), 'validation_failed');
    t.equal(response.json().errors.length, 20);
    t.strictSame(response.json().errors[0], { path: '/x0', message: 'is not a known field' });
  }
});

test('a field that comes twice is refused at its place, never the one or the other', async (t) => {
  const { app } = await build(t);
  const doubled: [string, string][] = [
    ['{"email":"a@example.com","password":"x","email":"b@example.com"}', '/email'],
    ['{"email":"a@example.com","password":"x","\\u0065mail":"a@example.com"}', '/email'],
    ['{"a":{"b":[0,{"c~/":1,"c~/":1}]}}', '/a/b/1/c~0~1'],
    ['[{},{"a":1,"a":1}]', '/1/a'],
    ['{"":1,"":2}', '/'],
    ['{"\\\\":1,"\\u005c":2}', '/\\'],
  ];
  for (const url of routes) {
    for (const [body, path] of doubled) {
      const response = await send(app, url, body);
      t.equal(response.statusCode, 400, body);
      t.equal(codeOf(response), 'malformed_request', body);
      t.equal(response.json().detail, `The body has a field twice: ${path}`);
    }
  }
});

test('a body that is not an object is refused', async (t) => {
  const { app } = await build(t);
  for (const url of routes) {
    for (const body of ['null', '[]', '[{}]', '"text"', '1', 'true']) await refusesAt(t, app, url, body, '');
  }
});

test('an empty body is none: enough for /token, not for credentials', async (t) => {
  const { app } = await build(t);
  await refusesAt(t, app, '/signup', '', '');
  await refusesAt(t, app, '/login', '', '');
  t.equal(codeOf(await send(app, '/token', '')), 'session_not_found');
  for (const url of ['/signup', '/login']) {
    t.equal(codeOf(await app.inject({ method: 'POST', url })), 'validation_failed');
  }
});

test('what is not JSON in UTF-8 is refused', async (t) => {
  const { app } = await build(t);
  const unreadable = {
    'no JSON': '{"email":',
    'a trailing comma': '{"email":"a",}',
    'a second value': '{}{}',
    'spaces alone': '  ',
    'a polluted prototype': '{"__proto__":{"admin":true}}',
    'a polluted constructor': '{"constructor":{"prototype":{"admin":true}}}',
    'a byte that UTF-8 never has': Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    'an overlong form': Buffer.from([0x22, 0xc0, 0xaf, 0x22]),
    'a surrogate in UTF-8': Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
    'UTF-16': Buffer.from('{}', 'utf16le'),
    'many brackets': '['.repeat(16_000),
  };
  for (const url of routes) {
    for (const [name, body] of Object.entries(unreadable)) {
      const response = await send(app, url, body);
      t.equal(response.statusCode, 400, name);
      t.equal(codeOf(response), 'malformed_request', name);
    }
  }
});

test('a body of another type is 415, whatever is in it', async (t) => {
  const { app } = await build(t);
  const types = [
    ...['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'],
    ...['text/plain; application/json', 'text/json', 'application/json5', 'application/problem+json'],
    ...['application/jsonp', '*/*', 'json', 'application/octet-stream'],
  ];
  for (const url of routes) {
    for (const type of types) {
      const response = await send(app, url, JSON.stringify(goodBody(url)), type);
      t.equal(response.statusCode, 415, type);
      t.equal(codeOf(response), 'unsupported_media_type');
    }
  }
});

test('a body that says it is UTF-8, or nothing of the kind, is read as that (RFC 8259 §8.1)', async (t) => {
  const { app } = await build(t);
  for (const type of [
    ...['application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'APPLICATION/JSON'],
    ...['application/json; charset=UTF8', 'application/json; version=1; Charset=utf-8; a=b'],
    ...['application/json; version=1', ' application/json '],
  ]) {
    const body = Buffer.from(JSON.stringify({ ...newCredentials(), password: 'ünïcödé-pässwörd' }));
    t.equal((await send(app, '/signup', body, type)).statusCode, 201, type);
  }
});

test('a body that says it is in another charset is refused, not decoded to other characters', async (t) => {
  const { app } = await build(t);
  for (const charset of ['utf-16', 'iso-8859-1', '"utf-16le"', 'us-ascii', 'utf-80', 'x-utf-8', '']) {
    for (const url of routes) {
      const type = `application/json; charset=${charset}`;
      const response = await send(app, url, JSON.stringify(goodBody(url)), type);
      t.equal(response.statusCode, 415, type);
      t.equal(codeOf(response), 'unsupported_media_type');
    }
  }
});

test('an empty body is none, whatever it is called', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const empty = (method: 'POST' | 'DELETE', url: string, type: string) =>
    app.inject({ method, url, headers: { cookie, 'content-type': type, 'content-length': '0' } });
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', `${json}; charset=utf-16`, json]) {
    t.equal((await empty('POST', '/token', type)).statusCode, 200, type);
    t.equal((await empty('DELETE', '/sessions', type)).statusCode, 204, type);
  }
  t.equal((await empty('POST', '/logout', 'application/x-www-form-urlencoded')).statusCode, 204);
});

test('a body may have 16 KiB, told beforehand or not', async (t) => {
  const { app } = await build(t);
  const limit = 16 * 1024;
  const bodyOf = (length: number) => {
    const [start, end] = [`{"email":"a@example.com","password":"`, '"}'];
    return start + 'x'.repeat(length - start.length - end.length) + end;
  };
  for (const url of ['/signup', '/login', '/token']) {
    t.not((await send(app, url, bodyOf(limit))).statusCode, 413);
    t.equal(codeOf(await send(app, url, bodyOf(limit + 1))), 'body_too_large');
    const chunked = await app.inject({
      method: 'POST',
      url,
      payload: Readable.from([bodyOf(limit), ' ']),
      headers: { 'content-type': json },
    });
    t.equal(chunked.statusCode, 413);
    t.equal(codeOf(chunked), 'body_too_large');
  }
});

test('no body whatever makes the server fail', async (t) => {
  const { app } = await build(t);
  const value = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.emailAddress());
  const object = fc.record(
    { email: value, password: value, audience: value, extra: value },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    object.map((fields) => JSON.stringify(fields)),
    fc.json(),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  );
  const property = fc.asyncProperty(fc.constantFrom(...routes), body, async (url, payload) => {
    const response = await send(app, url, payload);
    if (response.statusCode >= 500) throw new Error(`${response.statusCode} ${response.body}`);
    if (response.statusCode >= 400) codeOf(response);
  });
  await fc.assert(property, { numRuns: 300 });
  t.pass();
});
