import { type Aggregator, Gauge, type Registry } from '@prometheus-io/client';
import type { PoolState } from '../adapters/adapters.ts';
import { steadyClock } from '../core/clock.ts';
import { remembered } from '../core/remembered.ts';
import type { KeyState } from '../keys/key-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { HashQueue } from '../passwords/password-hash.ts';

type Lane = Awaited<ReturnType<OutboxService['depths']>>[number];

/** What the rooms know of their own state. It is asked for when metrics are read. */
export type State = {
  hashQueue(): HashQueue;
  keys(): KeyState;
  /** The feed of revocations; null while nothing has been read. */
  revocations(): { ageMs: number; entries: number } | null;
  /** Services that read the feed as a stream. */
  revocationStreams(): number;
  /** Asks the database: may take long, and may reject. */
  outbox(): Promise<Lane[]>;
  /** Database time, in milliseconds since the epoch. */
  now(): number;
  /** Undefined for a database without a pool. */
  pool?: (() => PoolState) | undefined;
};

/** All replicas ask for the same rows, and Prometheus may ask each of them every few seconds. */
const OUTBOX_EVERY_MS = 5_000;
/** A scrape answers in time while the database does not. */
const OUTBOX_DEADLINE_MS = 1_000;

/** A value, or values by labels. Null: not known now, so that there is no such line. */
type Reading = number | null | { labels: Record<string, string>; value: number }[];

type About = {
  name: string;
  help: string;
  /** Of the values of several processes. */
  aggregator: Aggregator;
  labelNames?: string[];
};

/** Shows the state of the rooms. */
export function showState(registry: Registry, state: State): void {
  const show = (about: About, read: () => Reading | Promise<Reading>) => addGauge(registry, about, read);
  showHashQueue(show, state);
  showKeys(show, state);
  showRevocations(show, state);
  showOutbox(show, state);
  if (state.pool !== undefined) showPool(show, state.pool);
}

type Show = (about: About, read: () => Reading | Promise<Reading>) => void;

function addGauge(registry: Registry, about: About, read: () => Reading | Promise<Reading>): void {
  new Gauge({
    ...about,
    registers: [registry],
    async collect() {
      const reading = await read();
      this.reset();
      // NaN is left out of what is read.
      if (!Array.isArray(reading)) this.set(reading ?? Number.NaN);
      else for (const { labels, value } of reading) this.set(labels, value);
    },
  });
}

function showHashQueue(show: Show, { hashQueue }: State): void {
  show(
    { name: 'doorward_password_hashes_running', help: 'Passwords being hashed', aggregator: 'sum' },
    () => hashQueue().running,
  );
  show(
    { name: 'doorward_password_hashes_queued', help: 'Passwords waiting for a thread', aggregator: 'sum' },
    () => hashQueue().queued,
  );
}

function showPool(show: Show, pool: () => PoolState): void {
  const values = {
    size: 'Connections to the database at most',
    inUse: 'Connections with a query or a transaction',
    waiting: 'Queries and transactions that wait for a connection',
  };
  show({ name: 'doorward_database_pool_size', help: values.size, aggregator: 'sum' }, () => pool().size);
  show({ name: 'doorward_database_pool_in_use', help: values.inUse, aggregator: 'sum' }, () => pool().inUse);
  show(
    { name: 'doorward_database_pool_waiting', help: values.waiting, aggregator: 'sum' },
    () => pool().waiting,
  );
}

function showKeys(show: Show, { keys }: State): void {
  const labelNames = ['status'];
  show({ name: 'doorward_signing_keys', help: 'Signing keys by status', aggregator: 'max', labelNames }, () =>
    countsOf(keys()),
  );
  show(
    {
      name: 'doorward_signing_key_age_seconds',
      help: 'How long a key has had this status, the oldest one of that status',
      aggregator: 'max',
      labelNames,
    },
    () => agesOf(keys()),
  );
  show(
    {
      name: 'doorward_signing_key_next_rotation_seconds',
      help: 'Until the next key signs; negative when that is overdue',
      aggregator: 'min',
    },
    () => {
      const { untilRotationMs } = keys();
      return untilRotationMs === null ? null : untilRotationMs / 1000;
    },
  );
  show(
    {
      name: 'doorward_signing_key_unconfirmed_seconds',
      help: 'Since this process has last read the keys from the database',
      aggregator: 'max',
    },
    () => keys().unconfirmedMs / 1000,
  );
}

function showRevocations(show: Show, { revocations, revocationStreams }: State): void {
  const startedAt = performance.now();
  show(
    {
      name: 'doorward_revocation_feed_age_seconds',
      help: 'Since this process has last read the revocations from the database, or since its start',
      aggregator: 'max',
    },
    // What was never read is as late as what is read no more.
    () => (revocations()?.ageMs ?? performance.now() - startedAt) / 1000,
  );
  show(
    { name: 'doorward_revocation_entries', help: 'Revocations that are kept in memory', aggregator: 'max' },
    () => revocations()?.entries ?? null,
  );
  show(
    { name: 'doorward_revocation_streams', help: 'Open streams of revocations', aggregator: 'sum' },
    revocationStreams,
  );
}

const STATUSES = ['pending', 'active', 'retired', 'revoked', 'untrusted'];

function countsOf({ keys }: KeyState): Reading {
  return STATUSES.map((status) => ({
    labels: { status },
    value: keys.filter((key) => key.status === status).length,
  }));
}

function agesOf({ keys }: KeyState): Reading {
  return Object.entries(Object.groupBy(keys, ({ status }) => status)).map(([status, ofStatus]) => ({
    labels: { status },
    value: Math.max(...ofStatus.map(({ ageMs }) => ageMs)) / 1000,
  }));
}

function showOutbox(show: Show, state: State): void {
  const lanes = remembered(state.outbox, {
    everyMs: OUTBOX_EVERY_MS,
    deadlineMs: OUTBOX_DEADLINE_MS,
    now: steadyClock,
  });
  const byLane = (read: (lane: Lane) => number) => async () =>
    (await lanes())?.map((lane) => ({ labels: { lane: lane.kind }, value: read(lane) })) ?? [];
  const about = { aggregator: 'max' as const, labelNames: ['lane'] };
  show(
    { ...about, name: 'doorward_outbox_depth', help: 'Messages that wait to be delivered' },
    byLane(({ waiting }) => waiting),
  );
  show(
    { ...about, name: 'doorward_outbox_dead', help: 'Messages after their last attempt' },
    byLane(({ dead }) => dead),
  );
  show(
    { ...about, name: 'doorward_outbox_oldest_seconds', help: 'Age of the oldest message that waits' },
    byLane(({ oldestAt }) => (oldestAt === null ? 0 : (state.now() - oldestAt.getTime()) / 1000)),
  );
  show(
    {
      name: 'doorward_outbox_unknown',
      help: '1 while the database does not say what is in the outbox: then its other values are left out',
      aggregator: 'max',
    },
    async () => Number((await lanes()) === null),
  );
}
