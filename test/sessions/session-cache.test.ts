import { randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import type { Cache } from '../../src/cache/cache.ts';
import { createCacheSeal } from '../../src/cache/cache-seal.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { AppError, unavailable } from '../../src/core/errors.ts';
import { DatabaseError } from '../../src/db/database-guard.ts';
import { createGenerateToken, hashGenerateToken } from '../../src/sessions/generate-token.ts';
import { type Admission, createSessionCache } from '../../src/sessions/session-cache.ts';
import type { SessionRecord } from '../../src/sessions/session-rules.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const START_MS = 1_800_000_000_000;
const KEY = randomBytes(32);

function makeRecord(changes: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id: randomUUID(),
    userId: randomUUID(),
    claims: { email: 'ada@example.com', email_verified: false, cv: 1 },
    userStatus: 'active',
    createdAt: START_MS,
    authenticatedAt: START_MS,
    amr: ['pwd'],
    acr: null,
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
  const keys = { issuer: 'https://auth.example.com', keyEncryptionKey: randomBytes(32) };
  const createReplica = (changes: Partial<Parameters<typeof createCacheSeal>[0]> = {}) =>
    createSessionCache({ cache, load, now, seal: createCacheSeal({ ...keys, now, ...changes }) });
  const [one, other] = [createReplica(), createReplica()];
  const tokenHash = hashGenerateToken(createGenerateToken());
  const id = tokenHash.toString('hex');
  const seal = createCacheSeal({ ...keys, now });
  return { clock, memory, loads, keys, createReplica, one, other, tokenHash, id, seal, key: `session:${id}` };
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

test('an entry of the release before says when the user signed in, and that it was by password', async (t) => {
  const setting = setUp();
  const { authenticatedAt, amr, acr, ...before } = makeRecord({ createdAt: START_MS - MINUTE_MS });
  await fill(setting, before as SessionRecord);
  const record = { ...before, authenticatedAt: START_MS - MINUTE_MS, amr: ['pwd'], acr: null };
  t.strictSame(await setting.other.find(setting.tokenHash), record);
  t.equal(setting.loads.length, 1);
});

test('an entry of the release before lacks the claims version, so it serves only while the database is down', async (t) => {
  const setting = setUp();
  const record = makeRecord();
  const { cv, ...claims } = record.claims;
  const before = { ...record, claims };
  await fill(setting, before);
  const down = await findUntilLoad(setting, setting.other);
  down.load.reject(unavailable(undefined));
  t.strictSame(await down.found, before);
  setting.clock.nowMs += SECOND_MS;
  const up = await findUntilLoad(setting, setting.other);
  up.load.resolve(record);
  t.strictSame(await up.found, record);
  t.strictSame(await setting.one.find(setting.tokenHash), record, 'which is in the cache now');
  t.equal(setting.loads.length, 3);
});

test('a new session is in the cache after warming, and its first look-up needs no admission', async (t) => {
  const setting = setUp();
  const warm = setting.one.warm(setting.tokenHash);
  await settle();
  const record = makeRecord();
  setting.loads[0]?.resolve(record);
  await warm;
  const { asked, admit } = makeAdmission(new AppError('rate_limited'));
  t.same(await setting.other.find(setting.tokenHash, admit), record);
  t.same([setting.loads.length, asked.length], [1, 0]);
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

/** Admits no look-up or every one, and notes what each has found. */
function makeAdmission(refusal?: Error) {
  const asked: unknown[] = [];
  const admit: Admission = async (lookUp) => {
    const found = refusal ?? (await lookUp());
    asked.push(found);
    if (found instanceof Error) throw found;
    return found;
  };
  return { asked, admit };
}

test('who is not admitted makes no read', async (t) => {
  const { one, tokenHash, loads, memory, key } = setUp();
  const refusal = new AppError('rate_limited');
  const { asked, admit } = makeAdmission(refusal);
  await t.rejects(one.find(tokenHash, admit), refusal);
  t.same([loads.length, asked], [0, [refusal]]);
  t.equal(await memory.get(key), null);
});

test('what the cache knows needs no admission, even when it is stale or absent', async (t) => {
  const setting = setUp();
  const { one, tokenHash, clock } = setting;
  const { asked, admit } = makeAdmission(new AppError('rate_limited'));
  const record = await fill(setting);
  t.same(await one.find(tokenHash, admit), record);
  clock.nowMs += MINUTE_MS;
  const stale = one.find(tokenHash, admit);
  await settle();
  setting.loads.at(-1)?.resolve(null);
  t.equal(await stale, null);
  t.equal(await one.find(tokenHash, admit), null);
  t.same(asked, []);
});

test('who admits a read learns what it has found', async (t) => {
  for (const row of [makeRecord(), makeRecord({ ended: true }), null]) {
    const { one, tokenHash, loads } = setUp();
    const { asked, admit } = makeAdmission();
    const found = one.find(tokenHash, admit);
    await settle();
    loads[0]?.resolve(row);
    t.same(await found, row);
    await one.find(tokenHash, admit);
    t.same(asked, [row]);
  }
});

test('a session is known as long as its entry is there, fresh or not, and not by a tombstone or a lease', async (t) => {
  const setting = setUp();
  const { one, tokenHash, clock } = setting;
  t.equal(await one.knows(tokenHash), false);
  const filled = fill(setting);
  t.equal(await one.knows(tokenHash), false);
  await filled;
  t.equal(await one.knows(tokenHash), true);
  clock.nowMs += MINUTE_MS;
  t.equal(await one.knows(tokenHash), true);
  await one.invalidate(tokenHash);
  t.equal(await one.knows(tokenHash), false);
});

test('what is no entry of this very token is read anew and replaced', async (t) => {
  const setting = setUp();
  const { memory, key, id, one, tokenHash, loads, seal, keys } = setting;
  const { clock } = setting;
  const now = () => clock.nowMs;
  const record = await fill(setting);
  const entry = { writtenAt: START_MS, record };
  const mine = { kind: 'session', id };
  const sealed = (await memory.get(key)) ?? '';
  const changed = (changes: object) => seal.seal(mine, JSON.stringify({ ...entry, ...changes }));
  const foreign = (other: object) =>
    createCacheSeal({ ...keys, now, ...other }).seal(mine, JSON.stringify(entry));
  t.same(JSON.parse(seal.open(mine, sealed) ?? ''), entry);
  const unbelievable = [
    changed({ writtenAt: `${START_MS}` }),
    changed({ record: undefined }),
    changed({ record: { ...record, ended: 0 } }),
    changed({ record: { ...record, userStatus: 'deleted' } }),
    changed({ record: { ...record, expiresAt: null } }),
    JSON.stringify(entry),
    JSON.stringify({ tokenHash: id, freshUntil: START_MS + MINUTE_MS, record }),
    seal.seal(
      { kind: 'session', id: hashGenerateToken(createGenerateToken()).toString('hex') },
      JSON.stringify(entry),
    ),
    seal.seal({ kind: 'client', id }, JSON.stringify(entry)),
    foreign({ issuer: 'https://staging.example.com' }),
    foreign({ keyEncryptionKey: randomBytes(32) }),
    sealed.slice(1),
    sealed.slice(0, -4),
    '',
    'null',
    '[]',
    'absent',
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

test('an old entry that an attacker puts back is believed for its ten minutes, and not fresh after one', async (t) => {
  const setting = setUp();
  const { memory, key, clock } = setting;
  const record = await fill(setting);
  const captured = (await memory.get(key)) ?? '';
  for (const { ageMs, isBelieved } of [
    { ageMs: 10 * MINUTE_MS - 1, isBelieved: true },
    { ageMs: 10 * MINUTE_MS, isBelieved: false },
  ]) {
    clock.nowMs = START_MS + ageMs;
    await memory.put(key, captured, MINUTE_MS);
    const { found, load } = await findUntilLoad(setting, setting.other);
    load.reject(unavailable(undefined));
    if (isBelieved) t.same(await found, record);
    else await t.rejects(found, { code: 'unavailable' });
  }
});

test('absence that an attacker puts back is believed for its ten seconds', async (t) => {
  const setting = setUp();
  const { memory, key, clock, one, loads } = setting;
  const { found, load } = await findUntilLoad(setting, one);
  load.resolve(null);
  await found;
  const captured = (await memory.get(key)) ?? '';
  clock.nowMs += 10 * SECOND_MS;
  await memory.put(key, captured, MINUTE_MS);
  t.ok(await fill(setting));
  t.equal(loads.length, 2);
});

test('while the key-encryption key is replaced, old and new replicas find each session', async (t) => {
  const setting = setUp();
  const { createReplica, keys, tokenHash, loads, one } = setting;
  const record = await fill(setting);
  const next = createReplica({
    keyEncryptionKey: randomBytes(32),
    previousKeyEncryptionKey: keys.keyEncryptionKey,
  });
  t.same(await next.find(tokenHash), record);
  t.equal(loads.length, 1, 'the entry of an old replica opens');
  setting.clock.nowMs += MINUTE_MS;
  const renewed = await findUntilLoad(setting, next);
  renewed.load.resolve(record);
  await renewed.found;
  const old = await findUntilLoad(setting, one);
  old.load.resolve(makeRecord({ ended: true }));
  t.match(await old.found, { ended: true }, 'the entry of a new replica is a miss for an old one');
});

test('nothing in the cache shows whose session it is', async (t) => {
  const setting = setUp();
  const record = await fill(setting);
  const text = (await setting.memory.get(setting.key)) ?? '';
  const readable = text + Buffer.from(text.slice(text.indexOf('.') + 1), 'base64').toString('latin1');
  for (const secret of [record.claims.email, record.userId, record.id, 'active'])
    t.notOk(readable.includes(secret), secret);
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
    seal: createCacheSeal({ issuer: '', keyEncryptionKey: randomBytes(32), now: () => START_MS }),
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

test('a full cache deletes the entry that it cannot replace, and no fill brings it back', async (t) => {
  const memory = createMemoryCache(() => START_MS);
  let isFull = false;
  const writes =
    <P extends unknown[], R>(command: (...parameters: P) => Promise<R>) =>
    async (...parameters: P): Promise<R> => {
      if (isFull) throw new Error('OOM command not allowed');
      return command(...parameters);
    };
  const setting = setUp({
    ...memory,
    put: writes(memory.put),
    putIfAbsent: writes(memory.putIfAbsent),
    replace: writes(memory.replace),
  });
  await fill(setting);
  setting.clock.nowMs += MINUTE_MS;
  const renewal = await findUntilLoad(setting, setting.other);
  isFull = true;
  await setting.one.invalidate(setting.tokenHash);
  isFull = false;
  renewal.load.resolve(makeRecord());
  await renewal.found;
  t.equal(await memory.get(setting.key), null);
  const after = await findUntilLoad(setting, setting.other);
  after.load.resolve(null);
  t.equal(await after.found, null);
});

test('a revocation that cannot reach the cache still keeps its own replica from an older read', async (t) => {
  const setting = setUp({ get: refuse, put: refuse, remove: refuse });
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
    remove: slow(memory.remove),
    increment: slow(memory.increment),
    ping: slow(memory.ping),
  };
}

type Course = { jumpsMs: number[]; evictions: number; warm: boolean; isFull: boolean };

/** Two replicas look up, time jumps, the cache evicts, one replica revokes: the results of look-ups after that. */
async function endedAfterRevocation(scheduler: fc.Scheduler, { jumpsMs, evictions, warm, isFull }: Course) {
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
  const slow = slowCache(memory, scheduler);
  // A full cache refuses the tombstone, and deletes.
  const cache = isFull ? { ...slow, put: refuse } : slow;
  const seal = createCacheSeal({ issuer: '', keyEncryptionKey: KEY, now });
  const replicas = [1, 2].map(() => createSessionCache({ cache, seal, load, now }));
  if (warm) await createSessionCache({ cache: memory, seal, load: async () => live, now }).find(tokenHash);

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
    isFull: fc.boolean(),
  });
  const staysEnded = async (scheduler: fc.Scheduler, course: Course) =>
    (await endedAfterRevocation(scheduler, course)).every((ended) => ended === true);
  await t.resolves(fc.assert(fc.asyncProperty(fc.scheduler(), courses, staysEnded), { numRuns: 300 }));
});
