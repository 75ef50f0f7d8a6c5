import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type, { type Static } from 'typebox';
import type { Clock } from '../core/clock.ts';
import { remembered } from '../core/remembered.ts';

const PROBE_DEADLINE_MS = 1_000;
const PROBE_EVERY_MS = 1_000;

/** What this process is about. The start of the server sets it, and the handler of its signals. */
export type Lifecycle = { state: 'starting' | 'running' | 'draining' };

const Part = Type.Enum(['ok', 'down']);

const Readiness = Type.Object({
  status: Type.Enum(['ok', 'degraded', 'starting', 'draining', 'unavailable'], {
    description: '`degraded`: one part is down and the other serves',
  }),
  database: Part,
  cache: Part,
});

const Liveness = Type.Object({ status: Type.Literal('ok') });

type HealthRoutesOptions = {
  lifecycle: Lifecycle;
  pingDatabase(): Promise<unknown>;
  pingCache(): Promise<unknown>;
  now: Clock;
};

/** For orchestrators. Neither has a rate limit or a log line. */
export const healthRoutes: FastifyPluginAsyncTypebox<HealthRoutesOptions> = async (
  app,
  { lifecycle, pingDatabase, pingCache, now },
) => {
  const probeDatabase = createProbe(pingDatabase, now);
  const probeCache = createProbe(pingCache, now);

  app.get(
    '/health/live',
    {
      logLevel: 'warn',
      schema: { tags: ['health'], summary: 'Is the process alive', response: { 200: Liveness } },
    },
    async () => ({ status: 'ok' as const }),
  );

  app.get(
    '/health/ready',
    {
      logLevel: 'warn',
      schema: {
        tags: ['health'],
        summary: 'Should traffic come here',
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const [database, cache] = await Promise.all([probeDatabase(), probeCache()]);
      const status = lifecycle.state === 'running' ? statusOf(database, cache) : lifecycle.state;
      // If only one of the two is down, the replica stays ready: otherwise all replicas would leave the balancer at
      // once.
      const ready = status === 'ok' || status === 'degraded';
      return reply.code(ready ? 200 : 503).send({ status, database, cache });
    },
  );
};

type PartStatus = Static<typeof Part>;

function statusOf(database: PartStatus, cache: PartStatus): Static<typeof Readiness>['status'] {
  if (database === 'ok' && cache === 'ok') return 'ok';
  return database === 'ok' || cache === 'ok' ? 'degraded' : 'unavailable';
}

/** Pings at most once a second, however many ask: anyone may, and a flood would take the connections of others. */
function createProbe(ping: () => Promise<unknown>, now: Clock): () => Promise<PartStatus> {
  const answer = async (): Promise<PartStatus> => {
    await ping();
    return 'ok';
  };
  const lately = remembered(answer, { everyMs: PROBE_EVERY_MS, deadlineMs: PROBE_DEADLINE_MS, now });
  return async () => (await lately()) ?? 'down';
}
