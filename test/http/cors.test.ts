import { test } from 'tap';
import { appOrigin, build, signUp } from '../helper.ts';

const two = 'https://app.example.com,https://admin.example.com:8443';

test('an allowed origin may read the answer, with credentials', async (t) => {
  const { app } = await build(t, { APP_ORIGINS: two });
  for (const origin of two.split(',')) {
    for (const [method, url] of [
      ['GET', '/me'],
      ['POST', '/token'],
      ['GET', '/nowhere'],
      ['GET', '/health/ready'],
    ] as const) {
      const { headers } = await app.inject({ method, url, headers: { origin } });
      t.equal(headers['access-control-allow-origin'], origin);
      t.equal(headers['access-control-allow-credentials'], 'true');
      t.match(headers.vary, /(^|, )Origin(,|$)/);
      t.match(headers['access-control-expose-headers'], 'www-authenticate', 'a page can read `max_age`');
    }
  }
});

test('no other origin may, and none is ever told a wildcard', async (t) => {
  const { app } = await build(t, { APP_ORIGINS: two });
  const { cookie } = await signUp(app);
  for (const origin of [
    ...['https://evil.example', 'null', 'http://app.example.com', 'https://app.example.com:444', '*', ''],
    ...[
      'https://app.example.com.evil.example',
      'https://app.example.com/',
      'HTTPS://APP.EXAMPLE.COM',
      appOrigin,
    ],
  ]) {
    for (const method of ['GET', 'OPTIONS'] as const) {
      const { headers } = await app.inject({
        method,
        url: '/me',
        headers: { origin, cookie, 'access-control-request-method': 'GET' },
      });
      t.notOk('access-control-allow-origin' in headers, `${method} ${origin}`);
      t.match(headers.vary, /(^|, )Origin(,|$)/);
    }
  }
});

test('a preflight tells the methods and asks for no cookie', async (t) => {
  const { app } = await build(t);
  for (const url of ['/token', '/sessions/01890a5d-ac96-774b-bcce-b302099a8057', '/signup']) {
    const response = await app.inject({
      method: 'OPTIONS',
      url,
      headers: {
        origin: appOrigin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    });
    t.equal(response.statusCode, 204);
    t.match(response.headers, {
      'access-control-allow-origin': appOrigin,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': 'content-type',
      'access-control-max-age': '600',
    });
    t.equal(response.body, '');
  }
});

test('OPTIONS that is no preflight allows nothing', async (t) => {
  const { app } = await build(t);
  const response = await app.inject({ method: 'OPTIONS', url: '/token' });
  t.equal(response.statusCode, 204);
  t.equal(response.body, '');
  t.notOk('access-control-allow-origin' in response.headers);
});
