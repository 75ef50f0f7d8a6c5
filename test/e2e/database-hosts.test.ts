import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { newCredentials, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { createTestRedis } from '../support/database.ts';
import { startServer } from '../support/processes.ts';
import { startPostgres, startStandby } from '../support/servers.ts';

test('of several hosts the one that takes changes is used, and after a fail-over the other one', async (t) => {
  const primary = await startPostgres();
  t.teardown(() => primary.stop());
  const standby = await startStandby(primary);
  t.teardown(() => standby.stop());
  const redis = await createTestRedis(t);
  const { url } = await startServer(t, {
    // The standby comes first, and must be passed over while it only reads.
    DATABASE_URL: `postgres://postgres@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/postgres?target_session_attrs=read-write`,
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: redis.keyPrefix,
    KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  });
  const headers = { 'content-type': 'application/json' };
  const send = (path: string, body: object) =>
    fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });

  const credentials = newCredentials();
  const signedUp = await send('/signup', credentials);
  t.equal(signedUp.status, 201);
  const cookie = signedUp.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
  await eventually(async () => {
    const users = await runSql(standby.url, 'select 1 from users');
    if (users.length !== 1) throw new Error('the standby has not followed yet');
  });

  await primary.stop();
  t.equal((await send('/signup', newCredentials())).status, 503, 'no host takes changes');
  await runSql(standby.url, 'select pg_promote()');
  await eventually(async () => {
    const { status } = await send('/signup', newCredentials());
    if (status !== 201) throw new Error(`a sign-up is answered ${status}`);
  });
  const minted = await fetch(`${url}/token`, { method: 'POST', headers: { cookie } });
  t.equal(minted.status, 200, 'the session from before');
  t.equal((await send('/login', credentials)).status, 200, 'the user from before');
});
