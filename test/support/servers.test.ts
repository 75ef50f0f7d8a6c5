import { once } from 'node:events';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { freePort } from './free-port.ts';
import { type PrivateServer, startPostgres, startRedis } from './servers.ts';

const answerWithinMs = 500;

test('a private PostgreSQL freezes, thaws, and keeps its data when killed', async (t) => {
  const server = await startPostgres();
  t.teardown(() => server.stop());
  const sql = postgres(server.url, { max: 1 });
  t.teardown(() => sql.end({ timeout: 1 }));
  await sql`create table kept as select 7 as value`;

  await freezesAndThaws(t, server, () => sql`select 1`);
  const { pid } = server;
  server.signal('SIGKILL');
  await server.restart();
  t.not(server.pid, pid, 'a new process');
  const again = postgres(server.url, { max: 1 });
  t.teardown(() => again.end());
  t.same(await again`select value from kept`, [{ value: 7 }]);
});

test('a private PostgreSQL starts again though a child of the killed one still lives', async (t) => {
  const server = await startPostgres();
  t.teardown(() => server.stop());
  const sql = postgres(server.url, { max: 1 });
  t.teardown(() => sql.end({ timeout: 1 }));
  const [child] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  if (child === undefined) throw new Error('no backend');

  process.kill(child.pid, 'SIGSTOP');
  process.kill(server.pid, 'SIGKILL');
  const restarted = server.restart();
  setTimeout(() => process.kill(child.pid, 'SIGKILL'), 300);
  await t.resolves(restarted);
});

test('a private Redis freezes, thaws, and is empty after a kill', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const redis = new Redis(server.url);
  redis.on('error', () => {});
  t.teardown(() => redis.disconnect());
  await redis.set('gone', 1);

  await freezesAndThaws(t, server, () => redis.ping());
  server.signal('SIGKILL');
  await server.restart();
  t.equal(await redis.get('gone'), null);
});

test('a server that was stopped refuses connections, even if it was frozen', async (t) => {
  const server = await startRedis();
  server.signal('SIGSTOP');
  await server.stop();
  const redis = new Redis(server.url, { lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {});
  await t.rejects(redis.connect());
});

test('a free port can be listened on', async (t) => {
  const server = createServer();
  t.teardown(() => server.close());
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await t.resolves(once(server, 'listening'));
});

async function freezesAndThaws(
  t: Test,
  server: PrivateServer,
  ask: () => PromiseLike<unknown>,
): Promise<void> {
  server.signal('SIGSTOP');
  const answer = Promise.resolve(ask()).then(() => 'answered');
  const silence = new Promise((resolve) => setTimeout(resolve, answerWithinMs, 'silent'));
  t.equal(await Promise.race([answer, silence]), 'silent');
  server.signal('SIGCONT');
  t.equal(await answer, 'answered');
}
