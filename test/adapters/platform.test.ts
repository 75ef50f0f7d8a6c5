import { test } from 'tap';
import type { Adapters } from '../../src/adapters/adapters.ts';
import { openCommandPlatform, openPlatform } from '../../src/adapters/platform.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { NO_HINTS } from '../../src/cache/redis-hints.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import { unavailable } from '../../src/core/errors.ts';
import { openPostgres } from '../support/adapters.ts';

async function setUp(ping: () => Promise<unknown>) {
  const { database } = await openPostgres();
  const renewed: string[] = [];
  const adapters: Adapters = {
    database,
    cache: createMemoryCache(Date.now),
    hints: NO_HINTS,
    pingDatabase: ping,
    renewDatabase: () => void renewed.push('renewed'),
    keyEncryptionKey: Buffer.alloc(32, 1),
    commandSocket: null,
    location: 'a test',
    prepare: async () => {},
    lastMigration: async () => 0,
    migrate: async () => {},
    checkUse: async () => {},
    backup: null,
    close: async () => {},
  };
  return { adapters, config: loadConfig({}), clock: createDatabaseClock(Date.now), renewed };
}

test('a server says when its database stops answering, and when it answers again', async (t) => {
  const answer = Promise.withResolvers<void>();
  const { adapters, config, clock } = await setUp(() => answer.promise);
  const lines: string[] = [];
  const note = (_context: object, message: string) => void lines.push(message);
  const platform = openPlatform(config, adapters, clock, { debug: note, warn: note, error: note });
  t.teardown(platform.close);
  const lost = () => Promise.reject(unavailable(new Error('lost')));
  await t.rejects(platform.guard.run(lost), { code: 'unavailable' });
  await t.rejects(
    platform.transact(async () => {}),
    { code: 'unavailable' },
    'no request waits twice',
  );
  t.same(lines, ['the database does not answer']);
  answer.resolve();
  await new Promise(setImmediate);
  t.same(lines, ['the database does not answer', 'the database answers again']);
  await t.resolves(platform.transact(async () => {}));
});

test('a command waits for each call, and writes nothing but its answer', async (t) => {
  const { adapters, config, clock } = await setUp(async () => {});
  const { guard, transact, log } = openCommandPlatform(config, adapters, clock);
  const lost = () => Promise.reject(unavailable(new Error('lost')));
  for (const _ of [1, 2]) await t.rejects(guard.run(lost), { code: 'unavailable' });
  t.equal(await transact(async () => 'asked all the same'), 'asked all the same');
  const written = t.capture(process.stderr, 'write');
  for (const level of ['debug', 'warn', 'error'] as const) log[level]({ err: new Error('x') }, 'any');
  t.same(written(), []);
});
