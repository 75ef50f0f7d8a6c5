/** G6: what open streams cost the server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuMicrosOf } from '../cpu-time.ts';
import type { Figures } from '../load.ts';
import type { MeasuredProcess } from '../processes.ts';
import { median } from '../report.ts';
import { warmUp } from '../rounds.ts';
import { sendSteadily } from '../steady-rate.ts';
import { mintRequest, signUp, type Visitor } from '../subjects.ts';
import type { FeedPlace } from './feed-place.ts';
import type { Finding } from './finding.ts';
import type { Streamed, StreamOrder } from './open-streams.ts';

export type StreamPlan = {
  streams: number;
  /** Of each state that is looked at. */
  seconds: number;
  rounds: number;
  revocationsPerSecond: number;
  tokensPerSecond: number;
  isWarmedUp: boolean;
};

type Stream = { process: ChildProcess; lines: AsyncIterator<string> };

/** An event of a stream, at most, is as often as that. */
const EVENT_EVERY_MS = 100;
const SETTLED_AFTER_MS = 3_000;
const CHANNEL = 'doorward:revocations';

export async function measureStreams(place: FeedPlace, plan: StreamPlan): Promise<Finding[]> {
  const server = await place.startReplica();
  const visitor = await signUp(server.url);
  if (plan.isWarmedUp) await warmUp({ request: mintRequest(server.url, visitor) }, 20);
  // A first time, so that code which is compiled for streams does not count as memory of them.
  await end(await openStreams(server, plan.streams));
  const idle = await measureIdle(server, plan);
  const busy = await measureBusy(place, server, visitor, plan);
  await server.stop();
  const finding = (what: string, found: number, most: number | null, unit: string): Finding => {
    return { goal: 'G6', what: `${plan.streams} streams${what}`, most, found, unit };
  };
  const busily = `, ${plan.revocationsPerSecond} revocations a second`;
  return [
    finding(', idle: resident memory', idle.megabytes, 40, 'MB'),
    finding(', idle: CPU', idle.cpu, 2, '% of a core'),
    finding(`${busily}: CPU`, busy.cpu, 15, '% of a core'),
    finding(`${busily}: events a second and stream`, busy.eventsPerSecond, null, ''),
    finding(`${busily}: bytes a revocation and stream`, busy.bytes, null, ''),
    finding(`${busily}: streams that ended`, busy.ended, 0, ''),
    finding(`${busily}: /token p99, to that without both`, busy.p99Ratio, 1.2, 'times'),
    finding(`${busily}: /token p99`, busy.p99, null, 'ms'),
  ];
}

/** The same server without streams, and then with them. */
async function measureIdle(server: MeasuredProcess, { streams, seconds }: StreamPlan) {
  await delay(SETTLED_AFTER_MS);
  const [without, residentWithout] = [await cpuShare(server, seconds), server.residentMb()];
  const open = await openStreams(server, streams);
  await delay(SETTLED_AFTER_MS);
  const [withThem, residentWith] = [await cpuShare(server, seconds), server.residentMb()];
  await end(open);
  return { cpu: withThem - without, megabytes: residentWith - residentWithout };
}

/** Rounds without streams and revocations, and with both, take turns. */
async function measureBusy(place: FeedPlace, server: MeasuredProcess, visitor: Visitor, plan: StreamPlan) {
  const { streams, seconds, rounds, tokensPerSecond } = plan;
  const mint = () => sendSteadily(mintRequest(server.url, visitor), tokensPerSecond, seconds);
  const shares: number[] = [];
  const figures: [quiet: Figures, busy: Figures][] = [];
  let [events, bytes, ended, revoked] = [0, 0, 0, 0];
  for (let round = 0; round < rounds; round += 1) {
    const quietShare = await cpuShare(server, seconds);
    const quiet = await mint();
    const open = await openStreams(server, streams);
    const revoking = new AbortController();
    const revocations = revokeSteadily(place, plan.revocationsPerSecond, revoking.signal);
    await delay(EVENT_EVERY_MS);
    shares.push((await cpuShare(server, seconds)) - quietShare);
    figures.push([quiet, await mint()]);
    revoking.abort();
    revoked += await revocations;
    const streamed = await end(open);
    events += streamed.events;
    bytes += streamed.bytes;
    ended += streamed.ended;
  }
  return {
    cpu: median(shares),
    eventsPerSecond: events / (rounds * 2 * seconds * streams),
    bytes: bytes / (revoked * streams),
    ended,
    p99Ratio: median(figures.map(([quiet, busy]) => busy.p99 / quiet.p99)),
    p99: median(figures.map(([, busy]) => busy.p99)),
  };
}

/** CPU time of the server meanwhile, in hundredths of a core. */
async function cpuShare({ pid }: MeasuredProcess, seconds: number): Promise<number> {
  const [startedAt, before] = [performance.now(), cpuMicrosOf(pid)];
  await delay(seconds * 1000);
  return (cpuMicrosOf(pid) - before) / (performance.now() - startedAt) / 10;
}

/**
 * What other replicas would do: revoke, number, and announce the head, as often as there may be an event. The server that
 * is measured has none of the cost of the sign-outs themselves.
 * @returns how many there were
 */
async function revokeSteadily(
  { sql, cache }: FeedPlace,
  perSecond: number,
  until: AbortSignal,
): Promise<number> {
  let made = 0;
  const startedAt = performance.now();
  while (!until.aborted) {
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1000) - made;
    made += due;
    await sql`
      insert into revocations (kind, subject)
      select 'session', substr(sha256(convert_to(random()::text, 'UTF8')), 1, 8) from generate_series(1, ${due}::int)`;
    await sql`select number_revocations(10000)`;
    const [head] = await sql<{ seq: string }[]>`select max(seq)::text as seq from revocations`;
    await cache.publish(CHANNEL, head?.seq ?? '');
    await delay(EVENT_EVERY_MS);
  }
  return made;
}

/** Streams that begin at the present head. */
async function openStreams({ url }: MeasuredProcess, count: number): Promise<Stream> {
  const order: StreamOrder = { url, after: await headOf(url), count };
  const child = spawn(process.execPath, ['bench/revocations/open-streams.ts'], {
    env: { PATH: process.env.PATH, ORDER: JSON.stringify(order) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== 'open') throw new Error('the streams could not be opened');
  return { process: child, lines };
}

async function end({ process: child, lines }: Stream): Promise<Streamed> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const last = await lines.next();
  await exited;
  return JSON.parse(last.value);
}

/** Follows the parts of the window to its end. */
async function headOf(url: string): Promise<string> {
  let after = '';
  for (;;) {
    const response = await fetch(`${url}/revocations${after && `?after=${after}`}`);
    const part = (await response.json()) as { cursor: string; more?: true };
    after = part.cursor;
    if (!part.more) return after;
  }
}
