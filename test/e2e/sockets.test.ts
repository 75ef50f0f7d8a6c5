import { connect, type Socket } from 'node:net';
import { type Test, test } from 'tap';
import { build, newCredentials } from '../helper.ts';
import { listen } from '../support/listen.ts';

/** An app on a real port. */
async function open(t: Test): Promise<number> {
  return listen(t, (await build(t)).app);
}

/** Sends bytes and returns everything that comes back until the server closes the connection. */
async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  return everything(send(port, bytes));
}

function send(port: number, bytes: string | Buffer): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return socket;
}

async function everything(socket: Socket): Promise<string> {
  return Buffer.concat(await socket.toArray()).toString();
}

/** Status, headers and the problem of one response as it went over the wire. */
function parse(response: string) {
  const [head = '', body = ''] = response.split('\r\n\r\n');
  const [statusLine = '', ...headers] = head.split('\r\n');
  return { status: Number(statusLine.split(' ')[1]), headers: headers.join('\n').toLowerCase(), body };
}

function isProblem(t: Test, response: string, status: number, code: string): void {
  const { status: answered, headers, body } = parse(response);
  t.equal(answered, status);
  t.match(headers, /^content-type: application\/problem\+json; charset=utf-8$/m);
  t.match(headers, /^cache-control: no-store$/m);
  t.equal(JSON.parse(body).code, code);
}

const request = (line: string, ...headers: string[]) =>
  `${[`${line} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;

const chunked = (coding: string) =>
  `${request('POST /token', 'Content-Type: application/json', `Transfer-Encoding: ${coding}`)}0\r\n\r\n`;

test('two Host headers are refused, the same one twice as well', async (t) => {
  const port = await open(t);
  for (const host of ['evil.example', 'localhost', '']) {
    isProblem(t, await exchange(port, request('GET /me', `Host: ${host}`)), 400, 'duplicate_host');
    isProblem(t, await exchange(port, request('POST /token', `hOST: ${host}`)), 400, 'duplicate_host');
  }
});

test('what is not HTTP is told so in a problem document', async (t) => {
  const port = await open(t);
  for (const [name, bytes] of Object.entries({
    'no HTTP at all': 'hello\r\n\r\n',
    'a TLS greeting': Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00]),
    'an unknown method': request('BREW /coffee'),
    'a header name with a space': request('GET /me', 'X Y: z'),
    'a space before the colon': request('GET /me', 'X-Y : z'),
    'a NUL in a header': request('GET /me', 'X-Y: a\0b'),
    'a line feed alone': 'GET /me HTTP/1.1\nHost: a\n\n',
    'two lengths': request('POST /token', 'Content-Length: 2', 'Content-Length: 3'),
    'a length and chunks': request('POST /token', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    'a length that is none': request('POST /token', 'Content-Length: -1'),
    'an unknown coding after chunked': request('POST /token', 'Transfer-Encoding: chunked, nonsense'),
    'a chunk that is none': `${request('POST /token', 'Content-Type: application/json', 'Transfer-Encoding: chunked')}zz\r\n`,
    'another version': 'GET /me HTTP/3.0\r\nHost: a\r\n\r\n',
  })) {
    const { status, body } = parse(await exchange(port, bytes));
    t.equal(status, 400, name);
    t.equal(JSON.parse(body).code, 'malformed_request', name);
  }
});

test('a request without a Host is refused', async (t) => {
  const port = await open(t);
  const { status } = parse(await exchange(port, 'GET /me HTTP/1.1\r\n\r\n'));
  t.equal(status, 400);
});

test('a second request hidden behind a refused one is not served', async (t) => {
  const port = await open(t);
  const hidden = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const lines = [
    'POST /token HTTP/1.1',
    'Host: localhost',
    'Content-Length: 3',
    'Transfer-Encoding: chunked',
  ];
  const response = await exchange(port, `${lines.join('\r\n')}\r\n\r\n0\r\n\r\n${hidden}`);
  t.equal(response.match(/HTTP\/1\.1 /g)?.length, 1);
  t.notMatch(response, /"status":"ok"/);
});

test('a transfer coding other than chunked gets one answer, and the connection is closed', async (t) => {
  const port = await open(t);
  const hidden = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
  for (const coding of ['gzip', 'identity', 'xchunked', 'chunked, gzip', 'gzip, chunked', '']) {
    const lines = ['POST /token HTTP/1.1', 'Host: localhost', `Transfer-Encoding: ${coding}`];
    const response = await exchange(port, `${lines.join('\r\n')}\r\n\r\n0\r\n\r\n${hidden}`);
    t.equal(response.match(/HTTP\/1\.1 /g)?.length, 1, coding);
    isProblem(t, response, 400, 'malformed_request');
    t.match(parse(response).headers, /^connection: close$/m);
  }
  t.equal(parse(await exchange(port, chunked('Chunked'))).status, 404);
});

test('bytes that make no sense do not get into an answer that is being sent', async (t) => {
  const port = await open(t);
  const response = await exchange(
    port,
    `GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense\r\n\r\n`,
  );
  t.equal(response.match(/HTTP\/1\.1 /g)?.length, 1);
  t.equal(JSON.parse(parse(response).body).openapi, '3.1.0');
});

test('two Authorization headers are refused', async (t) => {
  const port = await open(t);
  const basic = `Authorization: Basic ${Buffer.from('a:b').toString('base64')}`;
  for (const other of [basic, 'authorization: Bearer x', 'AUTHORIZATION: ']) {
    isProblem(t, await exchange(port, request('GET /admin/doctor', basic, other)), 400, 'malformed_request');
    const form = 'grant_type=client_credentials&token=x';
    const headers = [`Content-Length: ${form.length}`, 'Content-Type: application/x-www-form-urlencoded'];
    for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) {
      const both = request(`POST ${path}`, ...headers, basic, other);
      const { status, body } = parse(await exchange(port, both + form));
      t.equal(status, 400, path);
      t.match(JSON.parse(body), { error: 'invalid_request', error_description: /Authorization/ });
    }
    const { status } = parse(await exchange(port, request('GET /forward-auth', basic, other)));
    t.equal(status, 403, 'a gateway knows no 400');
  }
});

test('headers that are too large are 431', async (t) => {
  const port = await open(t);
  isProblem(
    t,
    await exchange(port, request('GET /me', `X-Y: ${'z'.repeat(20_000)}`)),
    431,
    'headers_too_large',
  );
  const many = Array.from({ length: 1000 }, (_, i) => `X-${i}: ${'z'.repeat(20)}`);
  isProblem(t, await exchange(port, request('GET /me', ...many)), 431, 'headers_too_large');
});

test('headers that do not arrive are 408, and nobody else waits for them', async (t) => {
  const port = await open(t);
  const startedAt = Date.now();
  const slow = everything(send(port, 'GET /me HTTP/1.1\r\nHost: localhost\r\n'));
  const quick = await fetch(`http://127.0.0.1:${port}/health/live`);
  t.equal(quick.status, 200);
  isProblem(t, await slow, 408, 'request_timeout');
  const tookMs = Date.now() - startedAt;
  // The next limit is 10 s, for a whole request.
  t.ok(tookMs >= 4_900 && tookMs < 9_900, `${tookMs} ms`);
});

test('long and malformed URLs are answered like anything else', async (t) => {
  const port = await open(t);
  const status = async (line: string) => {
    const response = await exchange(port, request(line));
    isProblem(t, response, parse(response).status, JSON.parse(parse(response).body).code);
    return [parse(response).status, JSON.parse(parse(response).body).code];
  };
  t.strictSame(await status(`GET /${'x'.repeat(10_000)}`), [404, 'not_found']);
  t.strictSame(await status(`GET /me?${'x'.repeat(10_000)}`), [401, 'not_signed_in']);
  t.strictSame(await status(`GET /${'x'.repeat(17_000)}`), [431, 'headers_too_large']);
  t.strictSame(await status(`DELETE /sessions/${'x'.repeat(10_000)}`), [414, 'uri_too_long']);
  t.strictSame(await status('GET /%zz'), [400, 'malformed_request']);
  t.strictSame(await status('DELETE /sessions/%zz'), [400, 'malformed_request']);
  t.strictSame(await status('DELETE /sessions/%00'), [400, 'validation_failed']);
  t.strictSame(await status('GET /../../etc/passwd'), [404, 'not_found']);
  t.strictSame(await status('GET //evil.example/me'), [404, 'not_found']);
  t.strictSame(await status('GET http://evil.example/nowhere'), [404, 'not_found']);
});

test('a body that is longer or shorter than it says is not served', async (t) => {
  const port = await open(t);
  const body = JSON.stringify(newCredentials());
  const type = 'Content-Type: application/json';
  const longer = `${request('POST /login', type, `Content-Length: ${body.length}`)}${body}trash`;
  isProblem(t, await exchange(port, longer), 400, 'malformed_request');
  const tooMuch = await exchange(port, request('POST /login', type, 'Content-Length: 1000000'));
  isProblem(t, tooMuch, 413, 'body_too_large');
  const socket = send(port, `${request('POST /login', type, `Content-Length: ${body.length + 1}`)}${body}`);
  socket.end();
  t.notMatch(await everything(socket), /HTTP\/1\.1 [25]/);
});

test('a client that goes away does no harm', async (t) => {
  const port = await open(t);
  for (const bytes of ['', 'GET', request('GET /me'), request('POST /login', 'Content-Length: 10')]) {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
    socket.resetAndDestroy();
  }
  t.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200);
});
