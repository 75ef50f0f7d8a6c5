import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { CircuitOpenError, createCircuitBreaker } from '../core/circuit-breaker.ts';
import { within } from '../core/deadline.ts';
import { AppError, unavailable } from '../core/errors.ts';
import { mapMethods, operations, publishCalls, traced } from '../core/trace-channels.ts';
import type { Database, Transact, Transaction } from './database.ts';

/** How long a request waits for the database before the answer is 503. */
export const DATABASE_DEADLINE_MS = 2_000;

const PROBE_DEADLINE_MS = 1_000;
const PROBE_EVERY_MS = 250;

/** SQLSTATE classes and codes of temporary failures: connection, resources, shutdown, locks, read-only, time limits. */
const PASSING_SQLSTATE = /^(08|53|57|58)|^(25006|25P03|25P04|40000|40001|40P01|55P03)$/;

/**
 * The server's last message on a connection. 57P0: it ends. 25P03 and 25P04: the transaction took too long, as when this
 * process was frozen.
 */
const LAST_MESSAGE_SQLSTATE = /^(57P0|25P03|25P04)/;

/**
 * The database is well and has rolled the transaction back, in favour of another one: serialization failure, deadlock.
 * Not 40003, after which the outcome is unknown.
 */
const CONTENTION_SQLSTATE = /^(40000|40001|40P01)$/;
/** After a failover: the database is well and answers questions, but takes no changes yet. */
const READ_ONLY_SQLSTATE = /^25006$/;
/** A statement before has failed. */
const IN_FAILED_TRANSACTION_SQLSTATE = /^25P02$/;
const MAX_ATTEMPTS = 4;
/** Random, so that transactions which met do not meet again. Milliseconds. */
const WAIT_BEFORE_RETRY = { least: 1, most: 30 };

/** Error codes of postgres.js and its socket when the server cannot be reached. */
const CONNECTION_TROUBLE =
  /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|ENOENT|ENOTDIR|ENOTSOCK|EACCES|EPERM|AUTH_TYPE_NOT_IMPLEMENTED|SASL_|CERT_|ERR_TLS_|ERR_SSL_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|EPROTO)/;

const SQLSTATE = /^[0-9A-Z]{5}$/;

/** How Node says that the server closed the connection instead of encrypting it. The code alone is that of any reset. */
const TLS_REFUSED = /before secure TLS connection was established/;

type DriverError = { code?: unknown; message?: unknown; constraint_name?: unknown; constraint?: unknown };

/**
 * The database refused a statement. The error has the SQLSTATE and the constraint, and nothing else: the messages of
 * Drizzle and of the driver quote the statement's parameters, and a password hash may be one of them.
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

/** Makes an error safe for the rest of the server: `unavailable`, a DatabaseError, or itself if no driver made it. */
export function cleanError(error: unknown): unknown {
  if (error instanceof AppError || error instanceof DatabaseError) return error;
  const { code: said, message, constraint_name, constraint } = driverErrorOf(error);
  const code = TLS_REFUSED.test(String(message)) ? 'ERR_TLS_NOT_OFFERED' : said;
  if (typeof code !== 'string' || !(SQLSTATE.test(code) || CONNECTION_TROUBLE.test(code))) {
    // Drizzle's error has the parameters in its message and its stack; its cause has them in neither.
    return error instanceof Error && 'params' in error
      ? (error.cause ?? new DatabaseError('none', undefined))
      : error;
  }
  const clean = new DatabaseError(code, String(constraint_name ?? constraint ?? '') || undefined);
  return CONNECTION_TROUBLE.test(code) || PASSING_SQLSTATE.test(code) ? unavailable(clean) : clean;
}

function isContention(error: unknown): boolean {
  return isRefusal(error, CONTENTION_SQLSTATE);
}

function isRefusal(error: unknown, sqlState: RegExp): boolean {
  const clean = cleanError(error);
  const cause = clean instanceof AppError ? clean.cause : clean;
  return cause instanceof DatabaseError && sqlState.test(cause.sqlState);
}

/**
 * Waits for `work`, at most `deadlineMs`. postgres.js has no deadline of its own: a frozen server would leave the
 * query, and the request behind it, pending for ever.
 * @throws AppError `unavailable` on a missed deadline or a lost connection; DatabaseError on a refused statement
 */
export async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  const late = () => unavailable(new Error(`no answer from the database in ${deadlineMs} ms`));
  return within(work, deadlineMs, late).catch((error: unknown) => {
    throw cleanError(error);
  });
}

/** Runs each call to the database with a deadline, and makes its errors safe. */
export type DatabaseGuard = { deadlineMs: number; run<T>(call: () => Promise<T>): Promise<T> };

/** A guard without a circuit breaker: each call may wait for the whole deadline. For commands, which make few calls. */
export function deadlineGuard(deadlineMs = DATABASE_DEADLINE_MS): DatabaseGuard {
  return { deadlineMs, run: (call) => withDeadline(call(), deadlineMs) };
}

type BreakingGuardOptions = {
  ping(): Promise<unknown>;
  deadlineMs?: number;
  /** Called when a ping was not answered either: all connections may be dead. */
  onProbeLost(): void;
  /** Called when requests stop waiting for the database, and when they use it again. */
  onBreak(isOpen: boolean): void;
};

/**
 * A guard with a circuit breaker: after one call without an answer, all others fail with `unavailable` at once, until
 * a ping is answered. The first ping is sent right away, so a single lost connection does not affect other calls.
 * Contention is an answer, and so is a refusal of changes: whoever only reads must not wait for a failover to end.
 */
export function breakingGuard(options: BreakingGuardOptions): DatabaseGuard & { close(): void } {
  const { ping, deadlineMs = DATABASE_DEADLINE_MS, onProbeLost, onBreak } = options;
  const breaker = createCircuitBreaker({
    part: 'database',
    threshold: 1,
    isFailure: (error) =>
      error instanceof AppError &&
      error.code === 'unavailable' &&
      !isContention(error) &&
      !isRefusal(error, READ_ONLY_SQLSTATE),
    probe: () =>
      withDeadline(ping(), PROBE_DEADLINE_MS).catch((error: AppError) => {
        // If the server answers with a refusal, there are no dead connections to replace.
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

/**
 * Wraps a store: each of its calls runs through the guard, and is published.
 * @param name of the store, for metrics and traces
 */
export function guardStore<S extends Record<keyof S, (...parameters: never[]) => Promise<unknown>>>(
  name: string,
  store: S,
  guard = deadlineGuard(),
): S {
  const guarded = mapMethods(
    store,
    (method) =>
      (...parameters) =>
        guard.run(() => method(...parameters)),
  );
  return publishCalls(operations.database, `${name}.`, guarded);
}

/**
 * Transactions with a deadline. Work that exceeds it is rolled back, even if the database answers later: by then the
 * caller has received 503. Work that met with contention is done again from the start, a few times.
 */
export function createTransact(database: Database, guard = deadlineGuard()): Transact {
  return (work) => traced(operations.database, 'transaction', () => transactOnce(database, guard, work));
}

function transactOnce<T>(
  database: Database,
  guard: DatabaseGuard,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const overdue = AbortSignal.timeout(guard.deadlineMs);
  return guard.run(async () => {
    const { result, afterCommit } = await retryContention(() => attempt(database, work, overdue), overdue);
    // Also when the answer to the commit is late and the caller has received 503: the change is committed.
    for (const action of afterCommit) await action();
    return result;
  });
}

async function retryContention<T>(
  once: () => Promise<T>,
  overdue: AbortSignal,
  attemptsLeft = MAX_ATTEMPTS,
): Promise<T> {
  try {
    return await once();
  } catch (error) {
    if (attemptsLeft === 1 || overdue.aborted || !isContention(error)) throw error;
  }
  await delay(randomInt(WAIT_BEFORE_RETRY.least, WAIT_BEFORE_RETRY.most));
  return retryContention(once, overdue, attemptsLeft - 1);
}

async function attempt<T>(
  database: Database,
  work: (transaction: Transaction) => Promise<T>,
  overdue: AbortSignal,
) {
  const afterCommit: (() => Promise<void>)[] = [];
  const alongside: Promise<unknown>[] = [];
  // Set when the transaction ends, not at the deadline: until then its connection exists and can be rolled back.
  const life = { isOver: false };
  const result = await database
    .transaction(async (tx) => {
      try {
        const result = await work({
          get database() {
            if (life.isOver) throw unavailable(new Error('the transaction is over'));
            return tx;
          },
          alongside: (statement) => {
            // Until it is awaited below, its rejection must not count as unhandled.
            void Promise.allSettled([statement]);
            alongside.push(statement);
          },
          afterCommit: (action) => void afterCommit.push(action),
        });
        await Promise.all(alongside);
        if (overdue.aborted) throw unavailable(overdue.reason);
        return result;
      } catch (error) {
        const cause = await causeOf(error, alongside);
        if (life.isOver || isConnectionLost(cause)) return leaveUnsettled();
        throw cause;
      }
    })
    .finally(() => {
      life.isOver = true;
    });
  return { result, afterCommit };
}

/**
 * Why work failed. Where a statement alongside had failed before, PostgreSQL refuses what follows without saying why.
 *
 * All statements alongside have been answered when this resolves: one that is sent after the ROLLBACK would be a
 * transaction of its own.
 */
async function causeOf(error: unknown, alongside: Promise<unknown>[]): Promise<unknown> {
  const failures = (await Promise.allSettled(alongside)).filter(({ status }) => status === 'rejected');
  const [failure = { reason: error }] = isRefusal(error, IN_FAILED_TRANSACTION_SQLSTATE) ? failures : [];
  return (failure as { reason: unknown }).reason;
}

/** Whether the connection is lost or about to close. */
function isConnectionLost(error: unknown): boolean {
  return isRefusal(error, CONNECTION_TROUBLE) || isRefusal(error, LAST_MESSAGE_SQLSTATE);
}

/**
 * For a transaction whose connection is lost. If the work rejects, postgres.js sends ROLLBACK on a socket that no
 * longer exists, and the TypeError from that ends the process (porsager/postgres#1208). The transaction itself rejects
 * when the connection closes.
 */
function leaveUnsettled(): Promise<never> {
  return new Promise(() => {});
}
