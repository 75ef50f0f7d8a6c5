import { readFileSync } from 'node:fs';

/** What one request of a kind costs, on the average. CPU times are microseconds. */
export type RequestCost = {
  /** CPU of the server's event loop and its helpers, without the hashing of passwords. */
  serverMicros: number;
  /** CPU of all of PostgreSQL's processes. */
  postgresMicros: number;
  redisMicros: number;
  redisCommands: number;
  /** What PostgreSQL writes to its log. */
  walBytes: number;
};

export type RequestKind =
  | 'mintHit'
  | 'mintMiss'
  | 'signIn'
  | 'signOut'
  | 'introspect'
  | 'doorCookie'
  | 'doorBearer'
  | 'keySet';

/** What was measured: `bench/costs.json`, which `npm run bench:costs` writes. */
export type Costs = {
  at: string;
  machine: Record<string, string>;
  /** Rows in the tables while it was measured. */
  seeded: { users: number; sessions: number };
  requests: Record<RequestKind, RequestCost>;
  /** How different the CPU times of one kind are: standard deviation of their logarithms. */
  serverSigma: number;
  /** CPU of one password check, in its own thread. */
  hashMicros: number;
  /** For each session that is written as used, and for one that turns out to be written already. */
  touch: {
    postgresMicros: number;
    /** Just after a checkpoint, so with whole pages; and with `wal_compression = lz4`. */
    walBytes: number;
    walBytesCompressed: number;
    checkMicros: number;
  };
  /** A replica that does nothing: CPU of its own, of PostgreSQL and of Redis, in a second. */
  idle: { serverMicros: number; postgresMicros: number; redisMicros: number };
  /** Pages of PostgreSQL, 8 KB each, that the look-up of one session reads. */
  missBuffers: number;
  bytes: {
    sessionHeap: number;
    sessionIndexes: number;
    userHeap: number;
    userIndexes: number;
    redisEntry: number;
    redisTombstone: number;
    redisCounter: number;
    replicaResident: number;
  };
  connections: { postgres: number; redis: number };
  /** `POST /token` at a steady rate, one replica: what the simulation is compared with. */
  steady: { perSecond: number; seconds: number; p50Ms: number; p99Ms: number }[];
};

/** The measured costs of the repository. */
export function readCosts(path = 'bench/costs.json'): Costs {
  return JSON.parse(readFileSync(path, 'utf8')) as Costs;
}
