import { createHash, randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import type { Cache } from '../../src/cache/cache.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { AppError, unavailable } from '../../src/core/errors.ts';
import { DatabaseError } from '../../src/db/database-guard.ts';
import { createGenerateToken, hashGenerateToken } from '../../src/sessions/generate-token.ts';
import { createSessionCache } from '../../src/sessions/session-cache.ts';
import type { SessionRecord } from '../../src/sessions/session-rules.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const START_MS = 1_800_000_000_000;

function makeRecord(changes: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id: randomUUID(),
    userId: randomUUID(),
    claims: { email: 'ada@example.com', email_verified: false },
    userStatus: 'active',
    createdAt: START_MS,
    lastSeenAt: START_MS,
    expiresAt: START_MS + 30 * DAY_MS,
    idleExpiresAt: START_MS + 14 * DAY_MS,
    ended: false,
    version: 2,
    ...changes,
  };
}

/** A look-up of the row that the test answers. */
type Load = PromiseWithResolvers<SessionRecord | null>;

/** Two replicas on one cache, with a clock and a database that the test controls. */
function setUp(changes: Partial<Cache> = {}) {
  const clock = { nowMs: START_MS };
  const now = () => clock.nowMs;
  const memory = createMemoryCache(now);
  const cache: Cache = { ...memory, ...changes };
  const loads: Load[] = [];
  const load = () => {
    const answer = Promise.withResolvers<SessionRecord | null>();
    loads.push(answer);
    return answer.promise;
  };
  const [one, other] = [createSessionCache({ cache, load, now }), createSessionCache({ cache, load, now })];
  const tokenHash = hashGenerateToken(createGenerateToken());
  return { clock, memory, loads, one, other, tokenHash, key: `session:${tokenHash.toString('hex')}` };
}

type Setting = ReturnType<typeof setUp>;

/** Lets everything happen that can happen without an answer from the database. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Starts a look-up and waits until it has asked the database. */
async function findUntilLoad({ loads, tokenHash }: Setting, replica: Setting['one']) {
  const loadsBefore = loads.length;
  const found = replica.find(tokenHash);
  // The test looks at the result later; until then it must not count as an unhandled rejection.
  found.catch(() => {});
  await settle();
  const load = loads[loadsBefore];
  if (load === undefined) throw new Error('the look-up did not ask the database');
  return { found, load };
}

async function fill(setting: Setting, record = makeRecord()): Promise<SessionRecord> {
  const { found, load } = await findUntilLoad(setting, setting.one);
  load.resolve(record);
  await found;
  return record;
}

const refuse = async () => {
  throw new Error('the cache cannot be reached');
};

test('a miss reads the row, and the next look-ups on every replica need none', async (t) => {
  const setting = setUp();
  const record = await fill(setting);
  t.same(await setting.one.find(setting.tokenHash), record);
  t.same(await setting.other.find(setting.tokenHash), record);
  t.equal(setting.loads.length, 1);
});

test('a new session is in the cache after warming, and its first look-up needs no admission', async (t) => {
  const setting = setUp();
  const warm = setting.one.warm(setting.tokenHash);
  await settle();
  const record = makeRecord();
  setting.loads[0]?.resolve(record);
  await warm;
  const { counts, admission } = makeAdmission(new AppError('rate_limited'));
  t.same(await setting.other.find(setting.tokenHash, admission), record);
  t.same([setting.loads.length, counts.asked], [1, 0]);
});

test('warming does not write over a tombstone, nor after one that is gone', async (t) => {
  for (const isEvicted of [false, true]) {
    const setting = setUp();
    const warm = setting.one.warm(setting.tokenHash);
    await settle();
    await setting.other.invalidate(setting.tokenHash);
    if (isEvicted) await setting.memory.put(setting.key, '', 0);
    const left = await setting.memory.get(setting.key);
    setting.loads[0]?.resolve(makeRecord());
    await warm;
    t.equal(await setting.memory.get(setting.key), left);
  }
});

test('warming neither fails nor waits for a cache or a database that is away', async (t) => {
  const unreachable = setUp({ putIfAbsent: refuse, replace: refuse });
  const warm = unreachable.one.warm(unreachable.tokenHash);
  await settle();
  unreachable.loads[0]?.reject(unavailable(undefined));
  await t.resolves(warm);
  const hung = setUp({ putIfAbsent: () => new Promise(() => {}) });
  await t.resolves(hung.one.warm(hung.tokenHash));
});

test('what is absent, or over, is answered without a read for ten seconds, on every replica', async (t) => {
  for (const row of [null, makeRecord({ ended: true })]) {
    const setting = setUp();
    const { clock, loads, one, other, tokenHash } = setting;
    const { found, load } = await findUntilLoad(setting, one);
    load.resolve(row);
    t.same(await found, row);
    clock.nowMs += 10 * SECOND_MS - 1;
    for (const replica of [one, other]) t.equal(await replica.find(tokenHash), null);
    t.equal(loads.length, 1);
    clock.nowMs += 1;
    const again = await findUntilLoad(setting, other);
    again.load.resolve(null);
    t.equal(await again.found, null);
  }
});

test('absence is not written over a tombstone, nor by a read that outlived its lease', async (t) => {
  const setting = setUp();
  await setting.one.invalidate(setting.tokenHash);
  const tombstone = await setting.memory.get(setting.key);
  const after = await findUntilLoad(setting, setting.one);
  after.load.resolve(null);
  await after.found;
  t.equal(await setting.memory.get(setting.key), tombstone);
  await setting.memory.put(setting.key, '', 0);
  const late = await findUntilLoad(setting, setting.one);
  setting.clock.nowMs += 3 * SECOND_MS;
  late.load.resolve(null);
  await late.found;
  t.equal(await setting.memory.get(setting.key), null);
});

test('an entry of a session whose end the cache never heard of goes when the row is read', async (t) => {
  for (const row of [null, makeRecord({ ended: true })]) {
    const setting = setUp();
    await fill(setting);
    setting.clock.nowMs += MINUTE_MS;
    const { found, load } = await findUntilLoad(setting, setting.one);
    load.resolve(row);
    t.same(await found, row);
    // Otherwise it would be used again now.
    setting.clock.nowMs += 10 * SECOND_MS;
    const blind = await findUntilLoad(setting, setting.other);
    blind.load.reject(unavailable(undefined));
    await t.rejects(blind.found, { code: 'unavailable' });
  }
});

/** Admits no look-up or every one, and counts them. */
function makeAdmission(refusal?: Error) {
  const counts = { asked: 0, foundNothing: 0 };
  const admission = {
    read: async () => {
      counts.asked += 1;
      if (refusal) throw refusal;
    },
    foundNothing: async () => {
      counts.foundNothing += 1;
    },
  };
  return { counts, admission };
}

test('who is not admitted makes no read, and is not counted', async (t) => {
  const { one, tokenHash, loads, memory, key } = setUp();
  const refusal = new AppError('rate_limited');
  const { counts, admission } = makeAdmission(refusal);
  await t.rejects(one.find(tokenHash, admission), refusal);
  t.same([loads.length, counts], [0, { asked: 1, foundNothing: 0 }]);
  t.equal(await memory.get(key), null);
});

test('what the cache knows needs no admission, even when it is stale or absent', async (t) => {
  const setting = setUp();
  const { one, tokenHash, clock } = setting;
  const { counts, admission } = makeAdmission(new AppError('rate_limited'));
  const record = await fill(setting);
  t.same(await one.find(tokenHash, admission), record);
  clock.nowMs += MINUTE_MS;
  const stale = one.find(tokenHash, admission);
  await settle();
  setting.loads.at(-1)?.resolve(null);
  t.equal(await stale, null);
  t.equal(await one.find(tokenHash, admission), null);
  t.equal(counts.asked, 0);
});

test('only who makes a read that finds nothing is counted', async (t) => {
  const rows = [
    { row: makeRecord(), foundNothing: 0 },
    { row: makeRecord({ ended: true }), foundNothing: 0 },
    { row: null, foundNothing: 1 },
  ];
  for (const { row, foundNothing } of rows) {
    const { one, tokenHash, loads } = setUp();
    const { counts, admission } = makeAdmission();
    const found = one.find(tokenHash, admission);
    await settle();
    loads[0]?.resolve(row);
    t.same(await found, row);
    await one.find(tokenHash, admission);
    t.same(counts, { asked: 1, foundNothing });
  }
});

test('what is no entry of this very token is read anew and replaced', async (t) => {
  const setting = setUp();
  const { memory, key, one, tokenHash, loads } = setting;
  await fill(setting);
  const entry: string = (await memory.get(key)) ?? '';
  const changed = (changes: object) => JSON.stringify({ ...JSON.parse(entry), ...changes });
  const record = JSON.parse(entry).record;
  const unbelievable = [
    changed({ tokenHash: createHash('sha256').update(randomBytes(8)).digest('hex') }),
    changed({ tokenHash: undefined }),
    changed({ freshUntil: `${START_MS}` }),
    changed({ record: null }),
    changed({ record: { ...record, ended: 0 } }),
    changed({ record: { ...record, userStatus: 'deleted' } }),
    changed({ record: { ...record, expiresAt: null } }),
    entry.slice(1),
    '',
    'null',
    '[]',
    '"tombstone"',
  ];
  for (const text of unbelievable) {
    await memory.put(key, text, MINUTE_MS);
    const { found, load } = await findUntilLoad(setting, one);
    const truth = makeRecord();
    load.resolve(truth);
    t.same(await found, truth, text);
    const loadsBefore = loads.length;
    t.same(await one.find(tokenHash), truth);
    t.equal(loads.length, loadsBefore);
  }
});

test('neither keys nor values hold the generate token', async (t) => {
  const written: unknown[] = [];
  const memory = createMemoryCache(() => START_MS);
  const noting: Cache = {
    ...memory,
    put: async (...all) => void written.push(all),
    putIfAbsent: async (...all) => written.push(all) > 0,
    replace: async (...all) => written.push(all) > 0,
  };
  const sessions = createSessionCache({
    cache: noting,
    load: async () => makeRecord(),
    now: () => START_MS,
  });
  const token = createGenerateToken();
  await sessions.find(hashGenerateToken(token));
  await sessions.invalidate(hashGenerateToken(token));
  t.equal(written.length, 3);
  const text = JSON.stringify(written);
  t.notOk(text.includes(token));
  t.notOk(text.includes(Buffer.from(token, 'base64url').toString('hex')));
  t.ok(text.includes(hashGenerateToken(token).toString('hex')));
});

test('100 look-ups at once, and those that come while the row is read, make one read', async (t) => {
  const setting = setUp();
  const { one, tokenHash, loads } = setting;
  const early = Array.from({ length: 100 }, () => one.find(tokenHash));
  await settle();
  const late = Array.from({ length: 100 }, () => one.find(tokenHash));
  await settle();
  const [load, ...others] = loads;
  t.same(others, []);
  const record = makeRecord();
  load?.resolve(record);
  t.same(new Set(await Promise.all([...early, ...late])), new Set([record]));
});

test('a crowd behind a tombstone makes one read', async (t) => {
  const setting = setUp();
  const { one, tokenHash, loads } = setting;
  await one.invalidate(tokenHash);
  const crowd = Array.from({ length: 100 }, () => one.find(tokenHash));
  await settle();
  t.equal(loads.length, 1);
  loads[0]?.resolve(null);
  await Promise.all(crowd);
});

test('look-ups of different tokens do not share a read', async (t) => {
  const setting = setUp();
  const otherHash = hashGenerateToken(createGenerateToken());
  const both = [setting.one.find(setting.tokenHash), setting.one.find(otherHash)];
  await settle();
  const records = [makeRecord(), makeRecord()];
  setting.loads.forEach((load, index) => {
    load.resolve(records[index] ?? null);
  });
  t.same(await Promise.all(both), records);
});

test('a read that failed is not shared with those who come later', async (t) => {
  const setting = setUp();
  const { found, load } = await findUntilLoad(setting, setting.one);
  load.reject(unavailable(undefined));
  await t.rejects(found, { code: 'unavailable' });
  await fill(setting);
});

test('a look-up after a revocation does not join a read from before it, on any replica', async (t) => {
  for (const replica of ['one', 'other'] as const) {
    const setting = setUp();
    const before = await findUntilLoad(setting, setting[replica]);
    await setting.one.invalidate(setting.tokenHash);
    const after = await findUntilLoad(setting, setting[replica]);
    before.load.resolve(makeRecord());
    after.load.resolve(makeRecord({ ended: true }));
    t.match(await after.found, { ended: true });
  }
});

test('two revocations: a look-up after the second does not join a read from between them', async (t) => {
  const setting = setUp();
  await setting.one.invalidate(setting.tokenHash);
  const between = await findUntilLoad(setting, setting.other);
  await setting.one.invalidate(setting.tokenHash);
  const after = await findUntilLoad(setting, setting.other);
  between.load.resolve(makeRecord());
  after.load.resolve(makeRecord({ ended: true }));
  t.match(await after.found, { ended: true });
});

test('a revocation that cannot reach the cache still keeps its own replica from an older read', async (t) => {
  const setting = setUp({ get: refuse, put: refuse });
  const before = await findUntilLoad(setting, setting.one);
  await t.rejects(setting.one.invalidate(setting.tokenHash), { message: 'the cache cannot be reached' });
  const after = await findUntilLoad(setting, setting.one);
  before.load.resolve(makeRecord());
  after.load.resolve(makeRecord({ ended: true }));
  t.match(await after.found, { ended: true });
});

test('a read that a revocation overtook is not written', async (t) => {
  const setting = setUp();
  const { found, load } = await findUntilLoad(setting, setting.one);
  await setting.other.invalidate(setting.tokenHash);
  load.resolve(makeRecord());
  await found;
  const after = await findUntilLoad(setting, setting.one);
  after.load.resolve(makeRecord({ ended: true }));
  t.match(await after.found, { ended: true });
});

test('nor is it when the tombstone was evicted meanwhile', async (t) => {
  const setting = setUp();
  const { found, load } = await findUntilLoad(setting, setting.one);
  await setting.other.invalidate(setting.tokenHash);
  await setting.memory.put(setting.key, '', 0);
  load.resolve(makeRecord());
  await found;
  t.equal(await setting.memory.get(setting.key), null);
});

test('nor is it under the lease that another replica has taken since', async (t) => {
  const setting = setUp();
  const late = await findUntilLoad(setting, setting.one);
  await setting.other.invalidate(setting.tokenHash);
  await setting.memory.put(setting.key, '', 0);
  const after = await findUntilLoad(setting, setting.other);
  const lease = await setting.memory.get(setting.key);
  t.type(lease, 'string');
  late.load.resolve(makeRecord());
  await late.found;
  t.equal(await setting.memory.get(setting.key), lease);
  after.load.resolve(null);
  await after.found;
});

test('nor is the renewal of an entry', async (t) => {
  const setting = setUp();
  await fill(setting);
  setting.clock.nowMs += MINUTE_MS;
  const { found, load } = await findUntilLoad(setting, setting.one);
  await setting.other.invalidate(setting.tokenHash);
  const tombstone = await setting.memory.get(setting.key);
  load.resolve(makeRecord());
  await found;
  t.equal(await setting.memory.get(setting.key), tombstone);
});

test('nothing is written while a tombstone stands, which is a minute', async (t) => {
  const setting = setUp();
  await setting.one.invalidate(setting.tokenHash);
  setting.clock.nowMs += MINUTE_MS - 1;
  const tombstone = await setting.memory.get(setting.key);
  t.type(tombstone, 'string');
  await fill(setting);
  t.equal(await setting.memory.get(setting.key), tombstone);
  setting.clock.nowMs += 1;
  t.equal(await setting.memory.get(setting.key), null);
});

test('a read that took longer than its lease is not written', async (t) => {
  const setting = setUp();
  const { found, load } = await findUntilLoad(setting, setting.one);
  setting.clock.nowMs += 3 * SECOND_MS;
  load.resolve(makeRecord());
  await found;
  t.equal(await setting.memory.get(setting.key), null);
});

test('of two replicas that read at once, the one with the lease writes', async (t) => {
  const setting = setUp();
  const first = await findUntilLoad(setting, setting.one);
  const second = await findUntilLoad(setting, setting.other);
  const [mine, theirs] = [makeRecord(), makeRecord()];
  second.load.resolve(theirs);
  t.same(await second.found, theirs);
  first.load.resolve(mine);
  await first.found;
  t.same(await setting.other.find(setting.tokenHash), mine);
});

test('an entry is fresh for a minute; then the row is read, and the entry renewed', async (t) => {
  const setting = setUp();
  const record = await fill(setting);
  setting.clock.nowMs += MINUTE_MS - 1;
  t.same(await setting.one.find(setting.tokenHash), record);
  t.equal(setting.loads.length, 1);
  setting.clock.nowMs += 1;
  const renewed = await fill(setting);
  t.same(await setting.other.find(setting.tokenHash), renewed);
  t.equal(setting.loads.length, 2);
});

test('an entry is not fresh any more once it says that the session is over', async (t) => {
  for (const end of ['expiresAt', 'idleExpiresAt'] as const) {
    const setting = setUp();
    await fill(setting, makeRecord({ [end]: START_MS + 30 * SECOND_MS }));
    setting.clock.nowMs += 30 * SECOND_MS;
    // Another replica may have noted in the meantime that the session was used.
    const { found, load } = await findUntilLoad(setting, setting.one);
    const prolonged = makeRecord();
    load.resolve(prolonged);
    t.same(await found, prolonged);
  }
});

test('while the database does not answer, an entry serves until its ten minutes end', async (t) => {
  const setting = setUp();
  const record = await fill(setting);
  setting.clock.nowMs += 10 * MINUTE_MS - 1;
  const stale = await findUntilLoad(setting, setting.one);
  stale.load.reject(unavailable(undefined));
  t.same(await stale.found, record);
  setting.clock.nowMs += 1;
  const gone = await findUntilLoad(setting, setting.one);
  gone.load.reject(unavailable(undefined));
  await t.rejects(gone.found, { code: 'unavailable' });
});

test('for a second after the database gave no answer nobody waits for the row of a stale entry again', async (t) => {
  const setting = setUp();
  const { one, clock, loads, tokenHash } = setting;
  const record = await fill(setting);
  clock.nowMs += MINUTE_MS;
  const { found, load } = await findUntilLoad(setting, one);
  load.reject(unavailable(undefined));
  t.same(await found, record);
  const { length } = loads;
  clock.nowMs += SECOND_MS - 1;
  t.same(await one.find(tokenHash), record);
  t.equal(loads.length, length, 'the row was not asked for');
  clock.nowMs += 1;
  const again = await findUntilLoad(setting, one);
  again.load.resolve(makeRecord({ ended: true }));
  t.match(await again.found, { ended: true });
});

test('the tombstone of an ended row replaces the entry that was seen, and nothing newer', async (t) => {
  const setting = setUp();
  await fill(setting);
  setting.clock.nowMs += MINUTE_MS;
  const { found, load } = await findUntilLoad(setting, setting.one);
  await setting.other.invalidate(setting.tokenHash);
  const newer = await setting.memory.get(setting.key);
  load.resolve(makeRecord({ ended: true }));
  await found;
  t.equal(await setting.memory.get(setting.key), newer);
});

test('a cache that fails while an ended row is buried disturbs nobody', async (t) => {
  let isAway = false;
  const memory = createMemoryCache(() => START_MS);
  const replace: Cache['replace'] = (...all) => (isAway ? refuse() : memory.replace(...all));
  const setting = setUp({ ...memory, replace });
  await fill(setting);
  setting.clock.nowMs += MINUTE_MS;
  isAway = true;
  const { found, load } = await findUntilLoad(setting, setting.one);
  load.resolve(null);
  t.equal(await found, null);
});

test('an answer that is an error is not papered over with an old entry', async (t) => {
  const setting = setUp();
  await fill(setting);
  setting.clock.nowMs += MINUTE_MS;
  for (const error of [new DatabaseError('42P01', undefined), new TypeError('a bug')]) {
    const { found, load } = await findUntilLoad(setting, setting.one);
    load.reject(error);
    await t.rejects(found, error);
  }
});

test('without the cache, or any one command of it, the row answers', async (t) => {
  for (const broken of [{ get: refuse }, { putIfAbsent: refuse }, { replace: refuse }]) {
    const setting = setUp(broken);
    const { found, load } = await findUntilLoad(setting, setting.one);
    const record = makeRecord();
    load.resolve(record);
    t.same(await found, record);
  }
});

test('without the cache and the database nothing can be known', async (t) => {
  const setting = setUp({ get: refuse });
  const { found, load } = await findUntilLoad(setting, setting.one);
  load.reject(unavailable(undefined));
  await t.rejects(found, { code: 'unavailable' });
});

/** The same cache; the scheduler decides when each command starts and when it is answered. */
function slowCache(memory: Cache, scheduler: fc.Scheduler): Cache {
  const slow =
    <P extends unknown[], R>(command: (...parameters: P) => Promise<R>) =>
    async (...parameters: P): Promise<R> => {
      await scheduler.schedule(Promise.resolve());
      return scheduler.schedule(command(...parameters));
    };
  return {
    get: slow(memory.get),
    put: slow(memory.put),
    putIfAbsent: slow(memory.putIfAbsent),
    replace: slow(memory.replace),
    increment: slow(memory.increment),
    ping: slow(memory.ping),
  };
}

type Course = { jumpsMs: number[]; evictions: number; warm: boolean };

/** Two replicas look up, time jumps, the cache evicts, one replica revokes: the results of look-ups after that. */
async function endedAfterRevocation(scheduler: fc.Scheduler, { jumpsMs, evictions, warm }: Course) {
  let nowMs = START_MS;
  const now = () => nowMs;
  const memory = createMemoryCache(now);
  const live = makeRecord();
  let row = live;
  const load = async () => {
    await scheduler.schedule(Promise.resolve());
    return scheduler.schedule(Promise.resolve(row));
  };
  const tokenHash = hashGenerateToken(createGenerateToken());
  const cache = slowCache(memory, scheduler);
  const replicas = [createSessionCache({ cache, load, now }), createSessionCache({ cache, load, now })];
  if (warm) await createSessionCache({ cache: memory, load: async () => live, now }).find(tokenHash);

  const sometime = async <T>(action: () => T) => scheduler.schedule(Promise.resolve()).then(action);
  const lookUps = () =>
    [...replicas, ...replicas, ...replicas].map((replica) => sometime(() => replica.find(tokenHash)));
  const revokeAndLook = async () => {
    row = makeRecord({ ended: true });
    await replicas[0]?.invalidate(tokenHash);
    return Promise.all(lookUps());
  };
  const jumps = jumpsMs.map((ms) =>
    sometime(() => {
      nowMs += ms;
    }),
  );
  const forget = Array.from({ length: evictions }, () =>
    sometime(() => memory.put(`session:${tokenHash.toString('hex')}`, '', 0)),
  );
  const course = Promise.all([sometime(revokeAndLook), ...lookUps(), ...jumps, ...forget]);
  const [later] = await scheduler.waitFor(course);
  return [...later, ...(await scheduler.waitFor(Promise.all(lookUps())))].map(
    (found) => found?.ended ?? true,
  );
}

test('after a revocation no look-up finds the session live, however things interleave', async (t) => {
  const courses = fc.record({
    jumpsMs: fc.array(fc.constantFrom(SECOND_MS, 3 * SECOND_MS, MINUTE_MS, 10 * MINUTE_MS), { maxLength: 3 }),
    evictions: fc.nat({ max: 2 }),
    warm: fc.boolean(),
  });
  const staysEnded = async (scheduler: fc.Scheduler, course: Course) =>
    (await endedAfterRevocation(scheduler, course)).every((ended) => ended === true);
  await t.resolves(fc.assert(fc.asyncProperty(fc.scheduler(), courses, staysEnded), { numRuns: 300 }));
});
