import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import { parseRedisUrl } from '../../src/config/redis-target.ts';

const makeSecret = () => randomBytes(12).toString('hex');

test('reads one server, whose URL stays as it is', async (t) => {
  const secret = makeSecret();
  for (const [url, hosts] of [
    ['redis://cache.test', 'cache.test'],
    ['rediss://cache.test:6380/2', 'cache.test'],
    [`redis://ada:${secret}@cache.test:6379/0?family=6`, 'cache.test'],
    [`redis://:${secret}@[::1]:6379`, '[::1]'],
  ] as const) {
    t.strictSame(parseRedisUrl(url), { kind: 'plain', url, hosts });
  }
});

test('reads Sentinel: its nodes, the name of the master, and the database', async (t) => {
  t.strictSame(parseRedisUrl('redis+sentinel://one.test:26380,two.test,192.0.2.3/main'), {
    kind: 'sentinel',
    nodes: [
      { host: 'one.test', port: 26_380 },
      { host: 'two.test', port: 26_379 },
      { host: '192.0.2.3', port: 26_379 },
    ],
    hosts: 'one.test, two.test, 192.0.2.3',
    credentials: {},
    name: 'main',
    db: 0,
  });
  t.match(parseRedisUrl('redis+sentinel://one.test/my.main-1_a/15'), { name: 'my.main-1_a', db: 15 });
});

test('reads a cluster: its nodes', async (t) => {
  t.strictSame(parseRedisUrl('redis+cluster://one.test:7000,two.test'), {
    kind: 'cluster',
    nodes: [
      { host: 'one.test', port: 7_000 },
      { host: 'two.test', port: 6_379 },
    ],
    hosts: 'one.test, two.test',
    credentials: {},
    name: '',
    db: 0,
  });
});

test('takes IPv6 addresses in brackets', async (t) => {
  t.match(parseRedisUrl('redis+cluster://[2001:db8::1]:7000,[::1]'), {
    nodes: [
      { host: '2001:db8::1', port: 7_000 },
      { host: '::1', port: 6_379 },
    ],
    hosts: '2001:db8::1, ::1',
  });
  t.equal(parseRedisUrl('redis+cluster://2001:db8::1'), null);
});

test('takes credentials with a user, a password alone, and neither', async (t) => {
  const password = makeSecret();
  const credentialsOf = (login: string) => {
    const target = parseRedisUrl(`redis+sentinel://${login}cache.test/main`);
    return target !== null && 'credentials' in target && target.credentials;
  };
  t.strictSame(credentialsOf(''), {});
  t.strictSame(credentialsOf(`ada:${password}@`), { username: 'ada', password });
  t.strictSame(credentialsOf(`:${password}@`), { password });
  t.strictSame(credentialsOf(`${password}@`), { password });
});

test('any user and password come through when they are encoded', async (t) => {
  const anyText = fc.string({ unit: 'grapheme', minLength: 1 });
  const comesThrough = (username: string, password: string) => {
    const login = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
    t.match(parseRedisUrl(`redis+cluster://${login}@cache.test`), { credentials: { username, password } });
  };
  fc.assert(fc.property(anyText, anyText, comesThrough));
});

test('a password may hold colons, encoded or not', async (t) => {
  for (const colon of [':', '%3A']) {
    const url = `redis+cluster://ada:a${colon}b${colon}@cache.test`;
    t.match(parseRedisUrl(url), { credentials: { username: 'ada', password: 'a:b:' } });
  }
});

test('anything else is refused', async (t) => {
  const refused = [
    ...[
      '',
      'cache.test',
      'http://cache.test',
      'redis:cache.test',
      'redis://',
      'redis://a b',
      'redis://a:port',
    ],
    // URLs on which ioredis itself would fail.
    ...['redis://ada:%zz@cache.test', 'rediss://%e0:x@cache.test'],
    ...[
      'redis+sentinel://',
      'redis+sentinel://one.test',
      'redis+sentinel://one.test/',
      'redis+sentinel:///a',
    ],
    ...[
      'redis+sentinel://one.test/main/',
      'redis+sentinel://one.test/main/x',
      'redis+sentinel://one.test/a/1/2',
    ],
    ...['redis+cluster://one.test/main', 'redis+cluster://one.test/1', 'redis+cluster://one.test/'],
    ...['redis+cluster://one.test,', 'redis+cluster://,', 'redis+cluster://one.test,,two.test'],
    ...['redis+cluster://one.test:99999', 'redis+cluster://one.test:port', 'redis+cluster://one test'],
    ...['redis+cluster://one.test?password=x', 'redis+cluster://one.test#x', 'redis+cluster://a@b@one.test'],
    ...['redis+cluster://ada:%zz@one.test', 'redis+cluster://%@one.test', 'rediss+cluster://one.test'],
    ...['REDIS://one.test', 'redis+cluster:one.test', 'redis-sentinel://one.test/main'],
  ];
  for (const url of refused) t.equal(parseRedisUrl(url), null, url);
});

test('whatever text it is given, it reads or refuses it', async (t) => {
  const starts = ['', 'redis://', 'rediss://', 'redis+sentinel://', 'redis+cluster://'];
  const part = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('%', '@', ':', '/', ',', '[', '::1]'));
  const text = fc
    .tuple(fc.constantFrom(...starts), fc.array(part))
    .map(([start, parts]) => start + parts.join(''));
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(text, (url) => void parseRedisUrl(url)),
      { numRuns: 1_000 },
    ),
  );
});

test('the hosts, which people are shown, hold no secret', async (t) => {
  const kind = fc.constantFrom('redis://', 'rediss://', 'redis+sentinel://', 'redis+cluster://');
  const filler = fc.constantFrom('', 'a', '%40', ':', '%2F', ';', '!');
  const login = fc.constantFrom<(secret: string) => string>(
    (secret) => `${secret}:${secret}`,
    (secret) => `:${secret}`,
    (secret) => secret,
  );
  const isSilent = (start: string, makeLogin: (secret: string) => string, extra: string) => {
    const secret = makeSecret();
    const name = start === 'redis+sentinel://' ? '/main' : '';
    const target = parseRedisUrl(`${start}${makeLogin(secret + extra)}@one.test${name}`);
    return target !== null && target.hosts === 'one.test';
  };
  t.doesNotThrow(() => fc.assert(fc.property(kind, login, filler, isSilent)));
});
