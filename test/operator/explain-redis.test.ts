import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { test } from 'tap';
import { parseRedisUrl, type RedisTarget } from '../../src/config/redis-target.ts';
import { explainRedis } from '../../src/operator/explain-redis.ts';
import { freePort } from '../support/free-port.ts';
import { startRedis } from '../support/servers.ts';

const password = randomBytes(8).toString('hex');

const explain = (error: Error, url: string) => explainRedis(error, parseRedisUrl(url) as RedisTarget);

/** The first error of a client on this URL. */
async function errorAt(url: string): Promise<Error> {
  const redis = new Redis(url, { retryStrategy: null });
  try {
    return await new Promise((resolve) => redis.once('error', resolve));
  } finally {
    redis.disconnect();
  }
}

test('what keeps the server from Redis is told with its place, the cause and the cure', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const { host } = new URL(redis.url);
  const nowhere = await freePort();
  const admin = new Redis(redis.url);
  t.teardown(() => admin.disconnect());
  const told = async (url: string, text: RegExp) => {
    const line = explain(await errorAt(url), url);
    t.match(line, text);
    t.notMatch(line, new RegExp(`\\n|${password}`));
  };
  await told(`redis://${host}/99`, /: it has no database of this number\. Correct /);
  await admin.config('SET', 'requirepass', `${password}!`);
  await told(`redis://${host}`, /: it wants a password\. Put one into REDIS_URL/);
  await told(
    `redis://a%20b:${password}@${host}`,
    /\(user "a b"\): the user or the password is wrong\. Correct /,
  );
  await told(
    `redis://127.0.0.1:${nowhere}`,
    /^Redis at 127\.0\.0\.1:\d+: no server accepts .*\. Start Redis/,
  );
  await told('redis://no.such.invalid', /^Redis at no\.such\.invalid:6379: no host has this name|looked up/);
});

test('an error of TLS, of a network or of a cluster is told by its own cure', async (t) => {
  const fails = (message: string, more: object = {}) => Object.assign(new Error(message), more);
  const cluster = 'redis+cluster://:secret@one:7000,[::1]:7001';
  const told: [Error, string, RegExp][] = [
    [
      fails('self-signed certificate', { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
      'rediss://a',
      /not trusted\. Let Node/,
    ],
    [
      fails('wrong version number', { code: 'ERR_SSL_WRONG_VERSION_NUMBER' }),
      'rediss://a',
      /write redis:\/\/ in/,
    ],
    [fails('Command timed out'), 'redis://a', /it gives no answer in time\. Check /],
    [fails('the moon is full'), 'redis://a', /^Redis at a:6379: the moon is full$/],
    [
      fails('Failed', { lastNodeError: fails('Connection is closed.') }),
      cluster,
      /^Redis Cluster at one:7000, \[::1\]:7001: no connection can be made\. Check the hosts/,
    ],
    [
      fails('ERR This instance has cluster support disabled'),
      cluster,
      /it is not a cluster\. Write redis:\/\//,
    ],
    [
      fails('All sentinels are unreachable. Last error: NOAUTH'),
      'redis+sentinel://ada:secret@one/main',
      /^Redis "main" of the Sentinels at one:26379 \(user "ada"\): it wants a password\./,
    ],
  ];
  for (const [error, url, text] of told) t.match(explain(error, url), text);
});
