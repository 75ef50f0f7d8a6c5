import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { LOCKS } from '../../src/db/locks.ts';
import { eventually } from './adapters.ts';
import { countKeys, kidOf, openSeparateKeys, policy, type Replica } from './keys.ts';

type Place = Awaited<ReturnType<typeof openSeparateKeys>>;
type Counts = Partial<ReturnType<typeof countKeys>>;

const ROTATE_ONCE = fileURLToPath(new URL('./rotate-once.ts', import.meta.url));

/** A commit of a change of the keys waits as long as another connection has this lock. */
const COMMIT_LOCK = 1;
const holdAtCommit = `
  create function test_hold() returns trigger language plpgsql
    as $$ begin perform pg_advisory_xact_lock(${COMMIT_LOCK}); return null; end $$;
  create constraint trigger test_hold after insert or update or delete on signing_keys
    deferrable initially deferred for each row execute function test_hold();`;

/** What the test locks, on a connection of its own, to stop a rotation there. */
const moments = {
  'before it has the lock': `select pg_advisory_xact_lock(${LOCKS.rotateKeys})`,
  'before its first write': 'lock table signing_keys in share mode',
  'before it touches the active key':
    'select from signing_keys where activated_at is not null and retired_at is null for update',
  'after the old key ended, before the next one signs':
    'select from signing_keys where activated_at is null for update',
  'after the next key signs, before the deletion':
    'select from signing_keys where delete_after is not null for update',
  // The rotation's own insertion does not conflict with this one, but its activation must wait for its end.
  'after the insertion, before the activation': `
    insert into signing_keys (kid, algorithm, public_jwk, encrypted_private_key, activated_at)
    values ('held', 'ES256', '{}', '', now())`,
  'as it commits': `select pg_advisory_xact_lock(${COMMIT_LOCK})`,
};
type Moment = keyof typeof moments;

type Scene = {
  name: string;
  moments: Moment[];
  /** Done before that, through a replica. */
  prepare(replica: Replica, place: Place): Promise<unknown>;
  before: Counts;
  after: Counts;
  isEmergency?: boolean;
};

const look = ({ schedule }: Replica) => schedule.look();

const scenes: Scene[] = [
  {
    name: 'the first key',
    moments: [
      'before it has the lock',
      'before its first write',
      'after the insertion, before the activation',
      'as it commits',
    ],
    prepare: async () => {},
    before: {},
    after: { active: 1 },
  },
  {
    name: 'a publication',
    moments: ['before it has the lock', 'before its first write', 'as it commits'],
    prepare: async (replica, { moveTime }) => {
      await look(replica);
      await moveTime(policy.rotateEveryMs);
    },
    before: { active: 1 },
    after: { active: 1, pending: 1 },
  },
  {
    name: 'an activation and a deletion',
    moments: [
      'before it has the lock',
      'before its first write',
      'before it touches the active key',
      'after the old key ended, before the next one signs',
      'after the next key signs, before the deletion',
      'as it commits',
    ],
    prepare: async (replica, { moveTime }) => {
      await look(replica);
      await replica.rotator.replaceNow(null);
      await replica.rotator.publishNext();
      await moveTime(policy.retainMs);
    },
    before: { active: 1, pending: 1, retired: 1 },
    after: { active: 1, retired: 1 },
  },
  {
    name: 'an emergency',
    moments: [
      'before it has the lock',
      'before it touches the active key',
      'after the old key ended, before the next one signs',
      'as it commits',
    ],
    prepare: async (replica) => {
      await look(replica);
      await replica.rotator.publishNext();
    },
    before: { active: 1, pending: 1 },
    after: { active: 1, revoked: 1 },
    isEmergency: true,
  },
];

const counts = (some: Counts) => ({ pending: 0, active: 0, retired: 0, revoked: 0, ...some });

/** What is killed: the process, or the PostgreSQL process that serves it. */
export type End = (victim: ChildProcess, backend: number, place: Place) => unknown;

/** One death: prepares the scene, stops a rotation at the moment, kills it, and the next start repairs the rest. */
async function play(t: Test, place: Place, scene: Scene, moment: Moment, victim: ChildProcess, end: End) {
  const { sql, replica } = place;
  await sql.unsafe(`truncate signing_keys; update test_time_shift set shift = interval '0'`);
  const survivor = replica();
  await scene.prepare(survivor, place);
  const before = await survivor.store.list();
  t.same(countKeys(before), counts(scene.before));

  const holder = await sql.reserve();
  await holder`begin`;
  await holder.unsafe(moments[moment]);
  const name = `to die ${process.pid}`;
  const { url, keyEncryptionKey } = place;
  const order = { url, name, key: keyEncryptionKey.toString('hex'), isEmergency: scene.isEmergency };
  const isDead = once(victim, 'exit');
  victim.stdin?.write(JSON.stringify(order));
  const backend = await eventually(async () => {
    const [row] = await sql`select pid from pg_stat_activity
      where application_name = ${name} and wait_event_type = 'Lock'`;
    if (row === undefined) throw new Error('it is not held yet');
    return row.pid;
  });
  await end(victim, backend, place);
  const [code, signal] = await isDead;
  await holder`rollback`;
  holder.release();
  await eventually(async () => {
    const rows = await sql`select from pg_stat_activity where pid = ${backend}`;
    if (rows.length > 0) throw new Error('its connection lives still');
  });

  const left = await survivor.store.list();
  const isDone =
    left.keys.some(({ kid }) => !before.keys.some((key) => key.kid === kid)) || hasMoved(left, before);
  // Completely or not at all.
  t.same(countKeys(left), counts(isDone ? scene.after : scene.before), isDone ? 'done' : 'nothing done');
  if (!isDone) t.same(left.keys, before.keys);
  const next = replica();
  await next.schedule.look();
  if (scene.isEmergency && !isDone) await next.rotator.replaceNow(kidOf(left, 'active'));
  t.same(countKeys(await next.keys.refresh()), counts(scene.after), 'the next start goes on');
  t.ok(next.keys.sign({}));
  await Promise.all([survivor.disconnect(), next.disconnect()]);
  return { isDone, ended: signal ?? code };
}

function hasMoved(left: { keys: object[] }, before: { keys: object[] }): boolean {
  return JSON.stringify(left.keys) !== JSON.stringify(before.keys);
}

/**
 * Plays every moment of every scene, each with a process of its own.
 * @returns how each process ended: its exit code or its signal
 */
export async function playAll(t: Test, end: End): Promise<unknown[]> {
  const place = await openSeparateKeys(t);
  await place.sql.unsafe(holdAtCommit);
  const deaths: Awaited<ReturnType<typeof play>>[] = [];
  // A process takes longer to start than to die, so the next one is always started in advance.
  let next = startVictim();
  for (const scene of scenes) {
    for (const moment of scene.moments) {
      await t.test(`${scene.name}, ${moment}`, async (t) => {
        const victim = next;
        next = startVictim();
        deaths.push(await play(t, place, scene, moment, victim, end));
      });
    }
  }
  next.kill();
  const done = deaths.filter(({ isDone }) => isDone).length;
  t.comment(`${deaths.length} ends: ${done} with everything done, ${deaths.length - done} without a trace`);
  return deaths.map(({ ended }) => ended);
}

function startVictim(): ChildProcess {
  return spawn(process.execPath, [ROTATE_ONCE], { stdio: ['pipe', 'ignore', 'ignore'] });
}
