import type { InjectOptions } from 'fastify';
import { type Test, test } from 'tap';
import { appOrigin, build, codeOf, newCredentials, signUp, type TestApp } from '../helper.ts';

type App = TestApp['app'];
type Responses = Record<string, { description: string; content?: Record<string, { schema: object }> }>;
type Operation = {
  tags: string[];
  summary: string;
  responses: Responses;
  parameters?: { name: string; in: string; required: boolean }[];
  requestBody?: { content: Record<string, { schema: object }> };
};
type Paths = Record<string, Record<string, Operation>>;

const pathsOf = async (app: App): Promise<Paths> => (await app.inject('/openapi.json')).json().paths;

/** The routes that the app really has, such as `GET /me`, from Fastify's own list. */
function existingRoutes(app: App): string[] {
  const routes: string[] = [];
  const stack: string[] = [];
  for (const line of app.printRoutes({ commonPrefix: false }).trimEnd().split('\n')) {
    const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (.*) \((.*)\)$/.exec(line) ?? [];
    const depth = indent.length / 4;
    stack.splice(depth, stack.length, part);
    for (const method of methods.split(', ')) routes.push(`${method} ${stack.join('')}`);
  }
  // Gateways keep the original method, and Envoy the path: OpenAPI cannot describe that. Pages are for people.
  const isHidden = (route: string) =>
    /^(HEAD|OPTIONS) | \/(docs|openapi\.json)| \/ui(\/|$)|\/forward-auth\/?\*|^(?!GET).* \/forward-auth$/.test(
      route,
    );
  return routes.filter((route) => !isHidden(route)).sort();
}

test('the description is OpenAPI 3.1 of exactly the routes that exist', async (t) => {
  const { app } = await build(t);
  const response = await app.inject('/openapi.json');
  t.equal(response.headers['content-type'], 'application/json; charset=utf-8');
  const document = response.json();
  t.match(document.openapi, /^3\.1\.\d+$/);
  t.match(document.info, { title: 'Doorward', version: /^\d+\.\d+\.\d+/ });
  t.strictSame(document.servers, [{ url: 'http://localhost:3000' }]);
  const described = Object.entries(document.paths as Paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  t.strictSame(described.sort(), existingRoutes(app));
  t.ok(described.length >= 13);
});

test('a path follows PUBLIC_URL, whatever prefix a gateway strips or adds', async (t) => {
  for (const settings of [
    { PATH_PREFIX: '/auth' },
    { PUBLIC_URL: 'https://example.com/s' },
    { PUBLIC_URL: 'https://example.com/login/auth', PATH_PREFIX: '/auth' },
  ]) {
    const { app } = await build(t, settings);
    const prefix = settings.PATH_PREFIX ?? '';
    const document = (await app.inject(`${prefix}/openapi.json`)).json();
    t.strictSame(document.servers, [{ url: settings.PUBLIC_URL ?? 'http://localhost:3000/auth' }]);
    for (const path of ['/', '/signup', '/login', '/sessions/{id}', '/health/live'])
      t.ok(path in document.paths, path);
    t.notOk('' in document.paths);
  }
});

test('every operation is complete', async (t) => {
  const { app } = await build(t, { COOKIE_MODE: 'insecure' });
  const document = (await app.inject('/openapi.json')).json();
  t.strictSame(document.components.securitySchemes.session, {
    type: 'apiKey',
    in: 'cookie',
    name: 'g_token',
  });
  for (const [path, operations] of Object.entries(document.paths as Paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const name = `${method} ${path}`;
      t.ok(operation.summary && operation.tags.length === 1, name);
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      t.strictSame(
        declared.map((parameter) => parameter.name),
        inPath,
        name,
      );
      t.ok(declared.every((parameter) => parameter.required));
      checkResponses(t, name, operation.responses);
      if (operation.requestBody) t.strictSame(Object.keys(operation.requestBody.content), bodyTypesOf(name));
    }
  }
});

/** These follow RFC 6749: forms in, and its own kind of errors. */
const isOAuth = (name: string) => name.includes(' /oauth/');

function bodyTypesOf(name: string): string[] {
  if (['patch /me', 'patch /admin/users/{id}'].includes(name))
    return ['application/merge-patch+json', 'application/json'];
  return [isOAuth(name) ? 'application/x-www-form-urlencoded' : 'application/json'];
}

/** Answers without a body. */
const empty = /^(204|304) |^200 (post \/oauth\/revoke|get \/forward-auth)$/;

/** What an answer may be in besides JSON. */
const OTHER_TYPES: Record<string, string[]> = {
  'get /': ['text/html'],
  'get /revocations': ['text/event-stream'],
};

function checkResponses(t: Test, name: string, responses: Responses): void {
  t.ok(
    Object.keys(responses).some((status) => status.startsWith('2')),
    name,
  );
  for (const [status, { description, content }] of Object.entries(responses)) {
    t.match(status, /^[1-5]\d\d$/);
    t.ok(description, `${name} ${status}`);
    const isProblem = Number(status) >= 400 && !name.includes('/health') && !isOAuth(name);
    const types = ['application/json', ...(OTHER_TYPES[name] ?? [])];
    if (content) t.strictSame(Object.keys(content), isProblem ? ['application/problem+json'] : types, name);
    t.equal(content === undefined, empty.test(`${status} ${name}`), `${name} ${status}`);
  }
}

const writes = [
  'POST /signup',
  'POST /login',
  'POST /logout',
  'POST /token',
  'DELETE /sessions',
  'DELETE /sessions/{id}',
  'PATCH /me',
  'DELETE /me',
  'POST /me/undo-deletion',
];
const withCookie = ['GET /me', 'GET /me/export', 'GET /sessions', ...writes];

/** A request that every one of the routes must answer with the code. */
const troubles: {
  code: string;
  routes: string[];
  spoil: (request: InjectOptions, cookie: string) => InjectOptions;
}[] = [
  {
    code: 'origin_not_allowed',
    routes: writes,
    spoil: (request) => ({ ...request, headers: { ...request.headers, origin: `${appOrigin}1` } }),
  },
  {
    code: 'malformed_request',
    routes: writes,
    spoil: (request) => ({
      ...request,
      payload: '{',
      headers: { ...request.headers, 'content-type': 'application/json' },
    }),
  },
  {
    code: 'unsupported_media_type',
    routes: writes,
    spoil: (request) => ({
      ...request,
      payload: '{}',
      headers: { ...request.headers, 'content-type': 'text/plain' },
    }),
  },
  {
    code: 'body_too_large',
    routes: writes,
    spoil: (request) => ({
      ...request,
      payload: `"${'x'.repeat(20_000)}"`,
      headers: { ...request.headers, 'content-type': 'application/json' },
    }),
  },
  {
    code: 'duplicate_cookie',
    routes: withCookie,
    spoil: (request, cookie) => ({ ...request, headers: { cookie: `${cookie}; ${cookie}` } }),
  },
  {
    code: 'not_signed_in',
    routes: withCookie.filter(
      (route) => !['/signup', '/login', '/token'].includes(route.split(' ')[1] ?? ''),
    ),
    spoil: (request) => ({ ...request, headers: {} }),
  },
  {
    code: 'validation_failed',
    routes: [
      'POST /signup',
      'POST /login',
      'POST /token',
      'PATCH /me',
      'DELETE /me',
      'POST /me/undo-deletion',
    ],
    spoil: (request) => ({ ...request, payload: [] }),
  },
  {
    code: 'validation_failed',
    routes: ['DELETE /sessions/{id}'],
    spoil: (request) => ({ ...request, url: '/sessions/1' }),
  },
  {
    code: 'uri_too_long',
    routes: ['DELETE /sessions/{id}'],
    spoil: (request) => ({ ...request, url: `/sessions/${'1'.repeat(200)}` }),
  },
];

test('what goes wrong at a route is in the description of that route', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const paths = await pathsOf(app);
  for (const { code, routes, spoil } of troubles) {
    for (const route of routes) {
      const [method = '', path = ''] = route.split(' ');
      const url = path.replace('{id}', '01890a5d-ac96-774b-bcce-b302099a8057');
      const takesCredentials = ['/signup', '/login'].includes(path);
      const payload = takesCredentials ? newCredentials() : method === 'PATCH' ? {} : undefined;
      const request = { method: method as 'GET', url, headers: { cookie }, ...(payload && { payload }) };
      const response = await app.inject(spoil(request, cookie));
      t.equal(codeOf(response), code, route);
      t.ok(isDocumented(paths, route, response.statusCode, code), `${route} documents ${code}`);
    }
  }
});

function isDocumented(paths: Paths, route: string, status: number, code: string): boolean {
  const [method = '', path = ''] = route.toLowerCase().split(' ');
  const description = paths[path]?.[method]?.responses[status]?.description ?? '';
  return description.includes(`\`${code}\``);
}

test('what the state of things brings about is described too', async (t) => {
  const { app } = await build(t);
  const paths = await pathsOf(app);
  for (const [route, status, code] of [
    ['POST /signup', 409, 'email_taken'],
    ['POST /signup', 429, 'rate_limited'],
    ['POST /login', 401, 'invalid_credentials'],
    ['POST /login', 429, 'rate_limited'],
    ['POST /token', 400, 'unknown_audience'],
    ['POST /token', 404, 'session_not_found'],
    ['DELETE /sessions/{id}', 404, 'not_found'],
  ] as const) {
    t.ok(isDocumented(paths, route, status, code), `${route} ${code}`);
  }
  for (const route of withCookie) {
    t.ok(isDocumented(paths, route, 503, 'unavailable'), `${route} unavailable`);
    t.ok(isDocumented(paths, route, 503, 'overloaded'), `${route} overloaded`);
  }
});

for (const prefix of ['', '/auth']) {
  test(`the page to read it on is whole under "${prefix}/docs" and needs no other host`, async (t) => {
    const { app } = await build(t, { PATH_PREFIX: prefix });
    const page = await app.inject(`${prefix}/docs/`);
    t.equal(page.statusCode, 200);
    t.match(page.headers['content-type'], /^text\/html/);
    const assets = [...page.body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, asset]) => String(asset));
    t.ok(assets.length >= 3);
    for (const asset of assets) {
      const { origin, pathname } = new URL(asset, `http://localhost${prefix}/docs/`);
      t.equal(origin, 'http://localhost');
      t.equal((await app.inject(pathname)).statusCode, 200, pathname);
    }
    t.equal((await app.inject(`${prefix}/docs/json`)).json().openapi, '3.1.0');
  });
}

for (const prefix of ['/auth', '']) {
  test(`the page finds its files by PUBLIC_URL, with PATH_PREFIX="${prefix}"`, async (t) => {
    const { app } = await build(t, { PUBLIC_URL: 'https://x.test/auth', PATH_PREFIX: prefix });
    const page = await app.inject(`${prefix}/docs`);
    t.equal(page.statusCode, 200);
    const assets = [...page.body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, asset]) => String(asset));
    t.ok(assets.length >= 3);
    for (const asset of assets) {
      const { origin, pathname } = new URL(asset, 'https://x.test/auth/docs');
      t.equal(origin, 'https://x.test');
      t.match(pathname, /^\/auth\/docs\/static\//);
      // Without a prefix, a gateway strips /auth.
      const served = prefix === '' ? pathname.slice('/auth'.length) : pathname;
      t.equal((await app.inject(served)).statusCode, 200, served);
    }
  });
}

test('the page may run its own scripts and styles, over http as well', async (t) => {
  const { app } = await build(t);
  const csp = String((await app.inject('/docs')).headers['content-security-policy']);
  t.match(csp, /script-src 'self'; style-src 'self';/);
  t.match(csp, /^default-src 'none';.*frame-ancestors 'none'$/);
  t.notMatch(csp, /unsafe|https?:|upgrade-insecure-requests/);
});

test('the page and its files have our name and picture', async (t) => {
  const { app } = await build(t);
  const page = await app.inject('/docs');
  t.match(page.body, '<title>Doorward API</title>');
  const [, icon = ''] = /<link rel="icon"[^>]* href="([^"]+)"/.exec(page.body) ?? [];
  const picture = await app.inject(icon);
  t.equal(picture.headers['content-type'], 'image/svg+xml');
  t.match(picture.body, /^<svg /);
});

test('nothing but the page lies under /docs', async (t) => {
  const { app } = await build(t);
  for (const url of ['/docs/static/nothing.js', '/docs/static/%2e%2e/package.json', '/docs/x']) {
    t.equal(codeOf(await app.inject(url)), 'not_found', url);
  }
});
