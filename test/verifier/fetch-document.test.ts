import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Test, test } from 'tap';
import { fetchDocument } from '../../src/verifier/fetch-document.ts';

async function listen(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('gives status, headers and text', async (t) => {
  const url = await listen(t, (_request, response) => response.writeHead(418, { etag: '"x"' }).end('tää'));
  const { status, headers, text } = await fetchDocument(fetch, url, 60_000);
  t.strictSame([status, headers.get('etag'), text], [418, '"x"', 'tää']);
});

test('follows no redirect', async (t) => {
  const asked: unknown[] = [];
  const url = await listen(t, (request, response) => {
    asked.push(request.url);
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  t.equal((await fetchDocument(fetch, url, 60_000)).status, 302);
  t.strictSame(asked, ['/']);
});

test('gives up on a server that does not answer, and on one that does not come to the end', async (t) => {
  const url = await listen(t, (request, response) => {
    if (request.url === '/slow') response.write('{');
  });
  for (const path of ['/hung', '/slow'])
    await t.rejects(fetchDocument(fetch, `${url}${path}`, 100), { name: 'TimeoutError' }, path);
});

test('reads no more than 64 KiB', async (t) => {
  const url = await listen(t, (_request, response) => {
    const more = () => {
      while (response.write('x'.repeat(10_000)));
    };
    response.on('drain', more);
    more();
  });
  await t.rejects(fetchDocument(fetch, url, 60_000), {
    kind: 'content',
    message: 'is larger than 65536 bytes',
  });
});
