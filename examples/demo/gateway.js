import { globSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import httpProxy from '@fastify/http-proxy';
import Fastify from 'fastify';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Headers that only the gateway may set, and that a client could forge. */
const NOT_FROM_CLIENTS = /^(x-auth-|x-forwarded-|forwarded$)|_/;

/**
 * One origin in front of everything, like a gateway in production: examples/gateway has real ones.
 * @param upstreams URLs of `doorward` (which has PATH_PREFIX=/auth), `shop` and `payments`
 * @param folders of the `page` and of the `browser` module
 */
export function createGateway({ doorward, shop, payments }, folders) {
  // Browsers hold connections open that they never use: the shutdown must not wait for those.
  const app = Fastify({ forceCloseConnections: true });
  const services = { '/shop': shop, '/payments': payments };
  app.register(httpProxy, proxy('/auth', doorward, { rewritePrefix: '/auth', keepsCookie: true }));
  for (const [prefix, upstream] of Object.entries(services)) app.register(httpProxy, proxy(prefix, upstream));

  const page = filesOf(folders.page);
  const browser = filesOf(folders.browser);
  app.get('/doorward-browser/*', (request, reply) => sendFile(reply, browser.get(request.params['*'])));
  app.get('/*', (request, reply) => {
    const path = request.params['*'];
    // Every path of the app is the page. A path with a file extension that is no file is 404.
    return sendFile(reply, page.get(path) ?? (extname(path) === '' ? page.get('index.html') : undefined));
  });
  return app;
}

function proxy(prefix, upstream, { rewritePrefix = '', keepsCookie = false } = {}) {
  const rewriteRequestHeaders = ({ headers: { host } }, headers) => {
    const kept = Object.entries(headers).filter(
      ([name]) => !NOT_FROM_CLIENTS.test(name) && (keepsCookie || name !== 'cookie'),
    );
    return { ...Object.fromEntries(kept), host };
  };
  return { upstream, prefix, rewritePrefix, replyOptions: { rewriteRequestHeaders } };
}

/** Path below the folder -> file. Paths are looked up and never joined, so that none leads out of the folder. */
function filesOf(folder) {
  const names = globSync('**/*', { cwd: folder }).filter((name) => statSync(join(folder, name)).isFile());
  return new Map(names.map((name) => [name.replaceAll('\\', '/'), join(folder, name)]));
}

function sendFile(reply, file) {
  if (file === undefined) return reply.code(404).type('text/plain').send('Not found\n');
  return reply
    .headers({
      'cache-control': 'no-cache',
      'content-security-policy': "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    })
    .type(TYPES[extname(file)] ?? 'application/octet-stream')
    .send(readFileSync(file));
}
