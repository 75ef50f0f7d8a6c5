import { Redis } from 'ioredis';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { createTestDatabase, createTestRedis, moveDatabaseTime } from './database.ts';
import { openMigratedPGlite } from './memory-database.ts';

const hourMs = 3_600_000;
const query = `select (extract(epoch from now() - pg_catalog.now()) * 1000)::float8 as "shiftMs"`;
const insert = `
  insert into signing_keys (kid, algorithm, public_jwk, encrypted_private_key)
  values ('k', 'ES256', '{}', '')
  returning (extract(epoch from published_at - pg_catalog.now()) * 1000)::float8 as "shiftMs"`;

test("moves now() and column defaults of a server's database, on every connection", async (t) => {
  const { url } = await createTestDatabase(t);
  const [one, other] = [connect(t, url), connect(t, url)];
  t.same(await one.unsafe(query), [{ shiftMs: 0 }]);

  await moveDatabaseTime(url, 2 * hourMs);
  t.same(await one.unsafe(query), [{ shiftMs: 2 * hourMs }]);

  await moveDatabaseTime(one, -hourMs);
  t.same(await other.unsafe(query), [{ shiftMs: hourMs }]);
  t.same(await other.unsafe(insert), [{ shiftMs: hourMs }]);
});

test('moves now() and column defaults of an embedded database', async (t) => {
  const database = await openMigratedPGlite();
  t.teardown(() => database.close());

  await moveDatabaseTime(database, hourMs);
  t.same((await database.query(query)).rows, [{ shiftMs: hourMs }]);
  t.same((await database.query(insert)).rows, [{ shiftMs: hourMs }]);
});

test('gives each test a database of its own', async (t) => {
  const urls = await Promise.all([createTestDatabase(t), createTestDatabase(t)]);
  const [one, other] = [connect(t, urls[0].url), connect(t, urls[1].url)];
  await one.unsafe(insert);
  t.same(await other`select * from signing_keys`, []);
});

test('drops a database when its test ends, even one with open connections', async (t) => {
  let url = '';
  await t.test('a test that ends', async (t) => {
    ({ url } = await createTestDatabase(t));
    // This client is left open on purpose.
    await postgres(url, { max: 1 })`select 1`;
  });
  await t.rejects(connect(t, url)`select 1`, { code: '3D000' });
});

test('deletes the Redis keys of a test when it ends, and no others', async (t) => {
  const { url, keyPrefix: kept } = await createTestRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  await redis.set(`${kept}a`, 1);
  let gone = '';
  await t.test('a test that ends', async (t) => {
    ({ keyPrefix: gone } = await createTestRedis(t));
    await redis.mset(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`${gone}${i}`, i])));
  });
  t.same(await redis.keys(`${gone}*`), []);
  t.same(await redis.keys(`${kept}*`), [`${kept}a`]);
});

/** The client must be closed before the database is dropped, so this comes after `createTestDatabase`. */
function connect(t: Test, url: string): postgres.Sql {
  const sql = postgres(url, { max: 1 });
  t.teardown(() => sql.end());
  return sql;
}
