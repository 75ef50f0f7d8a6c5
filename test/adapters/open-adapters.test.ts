import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'tap';
import { IGNORE_EVENTS, openAdapters } from '../../src/adapters/open-adapters.ts';
import { loadConfig } from '../../src/config/config.ts';
import { freePort } from '../support/free-port.ts';

test('with the URLs of servers it is those', async (t) => {
  const key = randomBytes(32);
  const port = await freePort();
  const config = loadConfig({
    DATABASE_URL: `postgres://127.0.0.1:${port}/none`,
    REDIS_URL: `redis://127.0.0.1:${port}`,
    KEY_ENCRYPTION_KEY: key.toString('hex'),
  });
  const { promise: heard, resolve: hear } = Promise.withResolvers<Error>();
  const adapters = await openAdapters(config, Date.now, { ...IGNORE_EVENTS, onError: hear });
  t.teardown(adapters.close);
  t.equal(adapters.location, 'PostgreSQL at 127.0.0.1, Redis at 127.0.0.1');
  t.same(adapters.keyEncryptionKey, key);
  t.match(await heard, { code: 'ECONNREFUSED' });
});

test('without them it is the data folder', async (t) => {
  const folder = t.testdir({ data: { 'key-encryption-key': 'damaged' } });
  const config = loadConfig({ DATA_DIR: join(folder, 'data') });
  // The error shows which adapters it opens, without waiting for a database.
  await t.rejects(openAdapters(config, Date.now, IGNORE_EVENTS), {
    name: 'DataFolderError',
    message: join(folder, 'data', 'key-encryption-key'),
  });
});
