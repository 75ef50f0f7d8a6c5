import { CircuitOpenError, createCircuitBreaker } from '../core/circuit-breaker.ts';
import { AppError, unavailable } from '../core/errors.ts';
import type { Database, Transact } from './database.ts';

/** How long a request waits for the database before it is told 503. */
export const DATABASE_DEADLINE_MS = 2_000;

const PROBE_DEADLINE_MS = 1_000;
const PROBE_EVERY_MS = 250;

/** SQLSTATE classes and codes that say "not now" and not "wrong": connection, resources, shutdown, locks, read-only. */
const PASSING_SQLSTATE = /^(08|53|57|58)|^(25006|40001|40P01|55P03)$/;

/** What postgres.js and the socket below it say when there is no server to talk to. */
const CONNECTION_TROUBLE =
  /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT|CERT_|ERR_TLS_|ERR_SSL_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|EPROTO)/;

const SQLSTATE = /^[0-9A-Z]{5}$/;

type DriverError = { code?: unknown; constraint_name?: unknown; constraint?: unknown };

/**
 * A statement that the database refused. Carries the SQLSTATE and the constraint, and nothing else: Drizzle's and
 * the driver's own messages quote the statement's parameters, a password hash among them.
 */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly sqlState: string;
  constructor(sqlState: string, constraint: string | undefined) {
    super(`the database refused a statement: SQLSTATE ${sqlState}${constraint ? ` (${constraint})` : ''}`);
    this.sqlState = sqlState;
  }
}

function driverErrorOf(error: unknown): DriverError {
  const cause = error instanceof Error ? error.cause : undefined;
  return (cause ?? error ?? {}) as DriverError;
}

/** The error as the rest of the server may see it: `unavailable`, a DatabaseError, or what it was when no driver made it. */
export function cleanError(error: unknown): unknown {
  if (error instanceof AppError || error instanceof DatabaseError) return error;
  const { code, constraint_name, constraint } = driverErrorOf(error);
  if (typeof code !== 'string' || !(SQLSTATE.test(code) || CONNECTION_TROUBLE.test(code))) {
    // Drizzle's own error has the parameters in its message and its stack; what it wraps has neither.
    return error instanceof Error && 'params' in error
      ? (error.cause ?? new DatabaseError('none', undefined))
      : error;
  }
  const clean = new DatabaseError(code, String(constraint_name ?? constraint ?? '') || undefined);
  return CONNECTION_TROUBLE.test(code) || PASSING_SQLSTATE.test(code) ? unavailable(clean) : clean;
}

/**
 * Waits for `work`, at most `deadlineMs`. postgres.js has no deadline of its own: a frozen server would leave the
 * query, and the request behind it, pending for ever.
 * @throws AppError `unavailable` on a missed deadline or a lost connection; DatabaseError on a refused statement
 */
export async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(unavailable(new Error(`no answer from the database in ${deadlineMs} ms`))),
    deadlineMs,
  );
  return Promise.race([work, deadline])
    .catch((error: unknown) => {
      throw cleanError(error);
    })
    .finally(() => clearTimeout(timer));
}

/** How every call to the database is made: within a time, and with its errors made safe. */
export type DatabaseGuard = { deadlineMs: number; run<T>(call: () => Promise<T>): Promise<T> };

/** A guard that waits for each call anew. For commands, which make few. */
export function deadlineGuard(deadlineMs = DATABASE_DEADLINE_MS): DatabaseGuard {
  return { deadlineMs, run: (call) => withDeadline(call(), deadlineMs) };
}

type BreakingGuardOptions = {
  ping(): Promise<unknown>;
  deadlineMs?: number;
  /** Called when a ping was not answered either: the connections may be beyond help. */
  onProbeLost(): void;
  /** Hears when requests stop waiting for the database, and when they ask it again. */
  onBreak(isOpen: boolean): void;
};

/**
 * A guard that nobody waits for twice: after one call without an answer the rest are told `unavailable` at once, until
 * a ping is answered. The first ping goes out right away, so a single lost connection costs the others nothing.
 */
export function breakingGuard(options: BreakingGuardOptions): DatabaseGuard & { close(): void } {
  const { ping, deadlineMs = DATABASE_DEADLINE_MS, onProbeLost, onBreak } = options;
  const breaker = createCircuitBreaker({
    threshold: 1,
    isFailure: (error) => error instanceof AppError && error.code === 'unavailable',
    probe: () =>
      withDeadline(ping(), PROBE_DEADLINE_MS).catch((error: AppError) => {
        // A server that refuses connections has left none behind.
        if (!(error.cause instanceof DatabaseError)) onProbeLost();
        throw error;
      }),
    probeEveryMs: PROBE_EVERY_MS,
    onChange: onBreak,
  });
  return {
    deadlineMs,
    run: (call) =>
      breaker
        .run(() => withDeadline(call(), deadlineMs))
        .catch((error: unknown) => {
          throw error instanceof CircuitOpenError ? unavailable(error) : error;
        }),
    close: breaker.close,
  };
}

type Method = (...parameters: never[]) => Promise<unknown>;

/** The same store, each call of it made through the guard. */
export function guardStore<S extends Record<keyof S, Method>>(store: S, guard = deadlineGuard()): S {
  const guarded = Object.entries<Method>(store).map(([name, method]) => [
    name,
    (...parameters: never[]) => guard.run(() => method(...parameters)),
  ]);
  return Object.fromEntries(guarded) as S;
}

/**
 * Transactions under a deadline. Work that overran it is rolled back even when the database comes back later:
 * its caller has been told 503 by then.
 */
export function createTransact(database: Database, guard = deadlineGuard()): Transact {
  return async (work) => {
    const afterCommit: (() => Promise<void>)[] = [];
    const overdue = AbortSignal.timeout(guard.deadlineMs);
    // By its own end and not by the deadline's: until then its connection is there to be rolled back.
    const life = { isOver: false };
    const commit = () =>
      database
        .transaction(async (tx) => {
          try {
            const result = await work({
              get database() {
                if (life.isOver) throw unavailable(new Error('the transaction is over'));
                return tx;
              },
              afterCommit: (action) => void afterCommit.push(action),
            });
            if (overdue.aborted) throw unavailable(overdue.reason);
            return result;
          } catch (error) {
            if (life.isOver || isConnectionLost(error)) return leaveUnsettled();
            throw error;
          }
        })
        .finally(() => {
          life.isOver = true;
        });
    return guard.run(async () => {
      const result = await commit();
      // However late the commit is answered, what must follow it follows: its caller may have been told 503 by then.
      for (const action of afterCommit) await action();
      return result;
    });
  };
}

/** Whether the connection itself is gone, or going: 57P01 and its kin are the last that it says. */
function isConnectionLost(error: unknown): boolean {
  const clean = cleanError(error);
  const cause = clean instanceof AppError ? clean.cause : clean;
  return (
    cause instanceof DatabaseError &&
    (CONNECTION_TROUBLE.test(cause.sqlState) || /^57P0/.test(cause.sqlState))
  );
}

/**
 * For a transaction whose connection is lost. Told of the failure, postgres.js would send a ROLLBACK on the socket
 * that it no longer has, and the TypeError of that ends the process (porsager/postgres#1208). Its transaction
 * rejects by itself when the connection closes.
 */
function leaveUnsettled(): Promise<never> {
  return new Promise(() => {});
}
