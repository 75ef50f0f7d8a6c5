import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';
import { channels, type LookUpResult, listenTo } from '../core/channels.ts';
import { AWAITED_SECONDS, LAG_SECONDS, REQUEST_SECONDS } from './buckets.ts';

/** Ends a subscription. */
type End = () => void;

const LOOK_UPS: LookUpResult[] = ['hit', 'absent', 'renewed', 'stale', 'miss', 'unknown', 'refused', 'error'];
/** Other results are counted from the first one on; these are there from the start, so that a rate sees the first. */
const USUAL_OUTCOMES = ['ok', 'validation_failed', 'overloaded', 'unavailable', 'internal_error'] as const;

/**
 * Counts what the rooms publish. Labels have few values, whatever clients send.
 * @returns a function that ends this
 */
export function countFacts(registry: Registry): End {
  const registers = [registry];
  const ends = [
    countRequests(registers),
    countUnreadableRequests(registers),
    countLookUps(registers),
    showBreakers(registers),
    measureHashes(registers),
    countLeakLookUps(registers),
    countEntries(registers),
    countTokens(registers),
    countLimits(registers),
    countLostEvents(registers),
    measureDeliveries(registers),
  ];
  return () => ends.flat().forEach((end) => void end());
}

/** The count is in it too: `doorward_http_request_duration_seconds_count`. */
function countRequests(registers: Registry[]): End {
  const durations = new Histogram({
    name: 'doorward_http_request_duration_seconds',
    help: 'Requests by route, from their headers to the end of the answer',
    labelNames: ['method', 'route', 'code'],
    buckets: REQUEST_SECONDS,
    enableExemplars: true,
    registers,
  });
  return listenTo(channels.request, ({ method, route, status, durationMs, traceId }) => {
    // Without a route the method is whatever the client wrote.
    const place = route === undefined ? { method: 'any', route: 'unknown' } : { method, route };
    const labels = { ...place, code: String(status) };
    durations.observe({
      labels,
      value: durationMs / 1000,
      ...(traceId !== undefined && { exemplarLabels: { trace_id: traceId } as object }),
    });
  });
}

function countUnreadableRequests(registers: Registry[]): End {
  const counter = new Counter({
    name: 'doorward_http_unreadable_requests_total',
    help: 'What was refused before a route was looked for: not HTTP, too slow, too large, or a malformed URL',
    labelNames: ['code'],
    registers,
  });
  return listenTo(channels.unreadableRequest, ({ status }) => counter.inc({ code: String(status) }));
}

function countLookUps(registers: Registry[]): End {
  const counter = new Counter({
    name: 'doorward_session_lookups_total',
    help: 'Look-ups of sessions: hit and absent are answers of the cache, renewed, miss and unknown of the database',
    labelNames: ['result'],
    registers,
  });
  for (const result of LOOK_UPS) counter.inc({ result }, 0);
  return listenTo(channels.sessionLookUp, (fact) => counter.inc(fact));
}

function showBreakers(registers: Registry[]): End {
  const gauge = new Gauge({
    name: 'doorward_breaker_open',
    help: '1 while no request waits for this part, because it does not answer',
    labelNames: ['part'],
    aggregator: 'max',
    registers,
  });
  const opened = new Counter({
    name: 'doorward_breaker_openings_total',
    help: 'How often requests stopped waiting for this part',
    labelNames: ['part'],
    registers,
  });
  for (const part of ['database', 'redis'] as const) {
    gauge.set({ part }, 0);
    opened.inc({ part }, 0);
  }
  return listenTo(channels.breaker, ({ part, isOpen }) => {
    gauge.set({ part }, Number(isOpen));
    opened.inc({ part }, Number(isOpen));
  });
}

function measureHashes(registers: Registry[]): End[] {
  const durations = new Histogram({
    name: 'doorward_password_hash_duration_seconds',
    help: 'Passwords that were hashed or compared, with their wait for a thread',
    buckets: AWAITED_SECONDS,
    registers,
  });
  const refused = new Counter({
    name: 'doorward_password_hashes_refused_total',
    help: 'Passwords that were not hashed, because the queue was full',
    registers,
  });
  return [
    listenTo(channels.passwordHash, ({ durationMs }) => durations.observe(durationMs / 1000)),
    listenTo(channels.passwordRefused, () => refused.inc()),
  ];
}

function countLeakLookUps(registers: Registry[]): End {
  const counter = new Counter({
    name: 'doorward_leaked_password_lookups_total',
    help: 'Passwords that were looked up in the lists of leaked ones; failed: without an answer, and so not refused',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of ['leaked', 'not_found', 'failed']) counter.inc({ outcome }, 0);
  return listenTo(channels.leakLookUp, (fact) => counter.inc(fact));
}

function countEntries(registers: Registry[]): End[] {
  const labelNames = ['result'] as const;
  const signIns = new Counter({
    name: 'doorward_sign_ins_total',
    help: 'Sign-ins by result: ok, or the code of the error',
    labelNames,
    registers,
  });
  const signUps = new Counter({
    name: 'doorward_sign_ups_total',
    help: 'Sign-ups by result: ok, or the code of the error',
    labelNames,
    registers,
  });
  for (const result of [...USUAL_OUTCOMES, 'invalid_credentials']) signIns.inc({ result }, 0);
  for (const result of [...USUAL_OUTCOMES, 'email_taken']) signUps.inc({ result }, 0);
  return [
    listenTo(channels.signIn, ({ outcome }) => signIns.inc({ result: outcome })),
    listenTo(channels.signUp, ({ outcome }) => signUps.inc({ result: outcome })),
  ];
}

function countTokens(registers: Registry[]): End {
  const counter = new Counter({
    name: 'doorward_tokens_total',
    help: 'Access tokens that were given out; reused: a session got the one of its last call again',
    labelNames: ['kind'],
    registers,
  });
  for (const kind of ['access', 'single_use', 'client', 'reused']) counter.inc({ kind }, 0);
  return listenTo(channels.token, (fact) => counter.inc(fact));
}

function countLimits(registers: Registry[]): End {
  const counter = new Counter({
    name: 'doorward_limit_refusals_total',
    help: 'Requests that a limit refused: credentials per address, misses, which are guesses of cookies, guesses per account, revocations per address, streams of them, or calls of /admin per address',
    labelNames: ['limit'],
    registers,
  });
  for (const limit of ['credentials', 'misses', 'guesses', 'revocations', 'streams', 'admin'])
    counter.inc({ limit }, 0);
  return listenTo(channels.limitReached, (fact) => counter.inc(fact));
}

function countLostEvents(registers: Registry[]): End {
  const counter = new Counter({
    name: 'doorward_audit_events_lost_total',
    help: 'Failed sign-ins that are not in the audit: too many at once, or the database did not take them',
    registers,
  });
  return listenTo(channels.eventsLost, ({ count }) => counter.inc(count));
}

function measureDeliveries(registers: Registry[]): End {
  const attempts = new Counter({
    name: 'doorward_outbox_attempts_total',
    help: 'Attempts to deliver messages of the outbox',
    labelNames: ['lane', 'outcome'],
    registers,
  });
  const lag = new Histogram({
    name: 'doorward_revocation_lag_seconds',
    help: 'From the commit of a sign-out to its arrival in the cache, for those that have arrived',
    buckets: LAG_SECONDS,
    registers,
  });
  return listenTo(channels.delivery, ({ kind, outcome, ageMs, durationMs }) => {
    attempts.inc({ lane: kind, outcome });
    if (kind === 'sessions_ended' && outcome === 'delivered') lag.observe((ageMs + durationMs) / 1000);
  });
}
