import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { eventually } from '../support/adapters.ts';
import { createTestDatabase } from '../support/database.ts';
import { startServer } from '../support/processes.ts';
import { startRedis } from '../support/servers.ts';

test('a server says when it stops waiting for a frozen Redis, and when it asks it again', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const { url: DATABASE_URL } = await createTestDatabase(t);
  const server = await startServer(t, {
    DATABASE_URL,
    REDIS_URL: redis.url,
    KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  });
  const token = async () => {
    const cookie = `__Host-g_token=${randomBytes(32).toString('base64url')}`;
    return (await fetch(`${server.url}/token`, { method: 'POST', headers: { cookie } })).status;
  };
  const said = (text: string) => {
    if (!server.output().includes(text)) throw new Error(`it does not say "${text}"`);
  };

  redis.signal('SIGSTOP');
  await eventually(async () => {
    t.equal(await token(), 404);
    said('Redis does not answer');
  });
  redis.signal('SIGCONT');
  await eventually(() => said('Redis answers again'));
  redis.signal('SIGKILL');
  await eventually(() => said('the connection to Redis failed'));
  t.equal(await token(), 404);
});
