import fc from 'fast-check';
import { test } from 'tap';
import { type GatewayRequest, readOriginalRequest } from '../../src/gateway/forward-auth-request.ts';

type Headers = [name: string, value: string][];

function makeRequest(headers: Headers, { method = 'GET', path = '' } = {}): GatewayRequest {
  return { method, path, rawHeaders: [['Host', 'shop.example.com'] as const, ...headers].flat() };
}

const read = (headers: Headers, rest = {}) => readOriginalRequest(makeRequest(headers, rest));
const isRefused = (headers: Headers, rest = {}) => 'refused' in read(headers, rest);

const safe = { isUnsafe: false };
const unsafe = { isUnsafe: true };

test('takes the original method from what nginx, Traefik and Caddy send', (t) => {
  for (const name of ['X-Original-Method', 'x-forwarded-method']) {
    for (const method of ['GET', 'head', 'OPTIONS']) t.same(read([[name, method]]), safe, method);
    for (const method of ['POST', 'put', 'DELETE', 'PATCH', 'PROPFIND'])
      t.same(read([[name, method]]), unsafe);
  }
  t.end();
});

test('takes it from the request itself where the path was appended, as Envoy does', (t) => {
  t.same(read([], { path: '/cart?x=1' }), safe);
  t.same(read([], { path: '/', method: 'POST' }), unsafe);
  t.same(read([], { method: 'POST' }), unsafe);
  t.end();
});

test('a request whose method nobody tells counts as unsafe', (t) => {
  t.same(read([]), unsafe);
  t.same(read([['X-Original-URI', '/cart']]), unsafe);
  t.end();
});

test('a WebSocket counts as unsafe, for any page can open one with the cookie', (t) => {
  for (const header of [
    ['Sec-WebSocket-Key', 'x'],
    ['Sec-WebSocket-Version', '13'],
    ['Upgrade', 'websocket'],
    ['Sec-Fetch-Mode', 'websocket'],
  ] as const)
    t.same(read([['X-Original-Method', 'GET'], [...header]]), unsafe, header[0]);
  t.same(
    read([
      ['X-Original-Method', 'GET'],
      ['Sec-Fetch-Mode', 'cors'],
    ]),
    safe,
  );
  t.end();
});

test('refuses two different methods, and a malformed one', (t) => {
  t.ok(
    isRefused([
      ['X-Original-Method', 'POST'],
      ['X-Forwarded-Method', 'GET'],
    ]),
  );
  t.ok(isRefused([['X-Original-Method', 'GET']], { path: '/cart', method: 'POST' }), 'a client of Envoy');
  t.same(
    read([
      ['X-Original-Method', 'get'],
      ['X-Forwarded-Method', 'GET'],
    ]),
    safe,
  );
  for (const method of ['', 'GET POST', 'GET\t', 'Ä', 'X'.repeat(33)])
    t.ok(isRefused([['X-Original-Method', method]]), method);
  t.end();
});

test('refuses identity headers from outside, in any spelling', (t) => {
  for (const name of [
    'X-Auth-Subject',
    'x-auth-email',
    'X-AUTH-SESSION',
    'X-Auth-Scope',
    'X_Auth_Subject',
    'x-auth_scope',
    'X.Auth.Subject',
    'x-auth~subject',
    'X_AUTH-scope',
  ])
    t.ok(isRefused([[name, 'admin']]), name);
  t.notOk(isRefused([['X-Auth-Token', 'of another system']]));
  t.end();
});

test('refuses whatever decides something here when it is spelled with an underscore, or is there twice', (t) => {
  for (const name of [
    'Authorization',
    'X-Original-Method',
    'X-Forwarded-Uri',
    'Origin',
    'Sec-Fetch-Site',
    'X-Forwarded-Host',
  ])
    t.ok(
      isRefused([
        [name, 'GET'],
        [name.toLowerCase(), 'GET'],
      ]),
      `${name} twice`,
    );
  for (const name of ['X_Original_Method', 'X_Forwarded-For', 'sec_websocket_key', 'X_FORWARDED_PROTO'])
    t.ok(isRefused([[name, 'GET']]), name);
  t.notOk(isRefused([['my_own', 'x']]));
  t.notOk(
    isRefused([
      ['X-Forwarded-For', '192.0.2.1'],
      ['X-Forwarded-For', '192.0.2.2'],
      ['Accept', 'a'],
      ['Accept', 'b'],
    ]),
  );
  t.end();
});

const goodPaths = [
  '/',
  '/cart',
  '/a/b.c/~d?x=1&y=%20',
  '/%C3%A4?q=%C3%A4',
  '/a...b/..c',
  '/?next=//other',
  '/a;b=c',
  '/a..;b',
  '/100%25',
  // A query decides no door, however odd it is.
  ...[
    '/?q=%E9',
    '/?q=100%',
    '/?q=%u20AC',
    '/?q=%00',
    '/?q=%2',
    '/a?../%5c..',
    '/a?b#c',
    '/a?b?c',
    '/a?q=a b',
    '/?q=ä',
  ],
  `/?${'q'.repeat(8 * 1024)}`,
];
const badPaths = [
  ...['/..;/admin', '/a/..;x=1/b', '/a/..%3b/b', '/%252e%252e/b', '/%2f/b', '/%252f/b', '/a/.;/b', '/%255c'],
  ...[
    '',
    'cart',
    '//other',
    '/a b',
    '/a#b',
    '/%',
    '/%2',
    '/%zz',
    '/%00',
    '/%0a',
    '/%7f',
    '/%ff',
    '/%C3',
    '/ä',
    '/a\\b',
  ],
  ...[
    '/a%5cb',
    '/..',
    '/../a',
    '/a/..',
    '/a/./b',
    '/a/%2e%2e/b',
    '/%2E%2E%2Fa',
    '/a#b?c',
    '/%?x=1',
    '/..?x=1',
    '*',
    '?x=1',
    'http://x/',
  ],
  `/${'a'.repeat(8 * 1024)}`,
];

test('refuses URIs that two readers could read in two ways', (t) => {
  for (const path of goodPaths) {
    const name = path.slice(0, 30);
    t.notOk(isRefused([['X-Original-URI', path]]), name);
    t.notOk(isRefused([['X-Forwarded-Uri', path]]), name);
    t.notOk(isRefused([['X-Original-URL', `https://shop.example.com:8443${path}`]]), name);
    t.notOk(isRefused([], { path }), name);
  }
  for (const path of badPaths) {
    t.ok(isRefused([['X-Original-URI', path]]), path);
    t.ok(isRefused([['X-Forwarded-Uri', path]]), path);
    t.ok(isRefused([['X-Original-URL', `https://shop.example.com${path}`]]), path);
    if (path.startsWith('/')) t.ok(isRefused([], { path }), path);
  }
  for (const url of ['ftp://x/', 'https:///', 'https://x', 'https://u:p@x/'])
    t.ok(isRefused([['X-Original-URL', url]]), url);
  t.notOk(isRefused([], { path: '?audience=shop' }), 'the query of the gateway itself');
  t.end();
});

test('refuses two different URIs', (t) => {
  t.ok(
    isRefused([
      ['X-Original-URI', '/public'],
      ['X-Forwarded-Uri', '/admin'],
    ]),
  );
  t.ok(isRefused([['X-Original-URI', '/public']], { path: '/admin' }));
  t.notOk(
    isRefused([
      ['X-Original-URI', '/a?b'],
      ['X-Original-URL', 'https://shop.example.com/a?b'],
    ]),
  );
  t.notOk(
    isRefused([
      ['X-Original-URI', '/a?b=%E9'],
      ['X-Forwarded-Uri', '/a?b=%C3%A9'],
    ]),
    'the query of a program that writes it in its own way',
  );
  t.notOk(isRefused([['X-Envoy-Original-Path', '/..']], { path: '/a' }), 'before the gateway rewrote it');
  t.end();
});

test('a query decides no door: whatever is behind the question mark, the path alone is judged', (t) => {
  const paths = fc.constantFrom('/', '/cart', '/a..b', '/..', '/%', '//x', '/a%5cb', '/a#b', 'a', '');
  const queries = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[%u20ACE9./\\#?&=;-]{0,12}$/));
  const property = fc.property(paths, queries, (path, query) => {
    const inHeader = (uri: string) => isRefused([['X-Original-URI', uri]]);
    const appended = (uri: string) => isRefused([], { path: uri.replace(/^(?!\/)/, '/') });
    const whole = `${path}?${query}`;
    return inHeader(whole) === inHeader(path) && appended(whole) === appended(path);
  });
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});

test('refuses hosts that are none', (t) => {
  for (const host of ['shop.example.com', 'localhost:8080', '[::1]:80', '192.0.2.1'])
    t.notOk(isRefused([['X-Forwarded-Host', host]]), host);
  for (const host of ['a b', 'a/b', 'a,b', '', 'user@host', 'host:port'])
    t.ok(isRefused([['X-Forwarded-Host', host]]), host);
  t.end();
});

test('no URI with a dot segment or a control character passes, however it is encoded', (t) => {
  const encodings = (text: string) =>
    fc.constantFrom(
      text,
      encodeURIComponent(text),
      [...text].map((c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`).join(''),
    );
  const bad = fc.constantFrom('..', '.', '\0', '\n', '\\', '\x7f').chain(encodings);
  const segment = fc.stringMatching(/^[\w-]{0,5}$/);
  fc.assert(
    fc.property(segment, bad, segment, (before, evil, after) => {
      const path = `/x${before}/${evil}/${after}y`;
      return isRefused([['X-Original-URI', path]]) && isRefused([], { path });
    }),
  );
  t.end();
});

test('never throws, whatever comes', (t) => {
  const header = fc.tuple(
    fc.constantFrom('X-Original-URI', 'X-Original-Method', 'X_Auth_Subject', 'Origin', 'Cookie', 'Host'),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(header), fc.string(), fc.string(), (headers, path, method) => {
      const answer = read(headers, { path, method });
      return 'refused' in answer || typeof answer.isUnsafe === 'boolean';
    }),
  );
  t.end();
});
