import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { hashSync } from '@node-rs/argon2';
import { type Test, test } from 'tap';
import { AppError } from '../../src/core/errors.ts';
import { createPasswordHasher, type PasswordHashSettings } from '../../src/passwords/password-hash.ts';
import { hashPassword, verifyPassword } from '../../src/passwords/password-hash-worker.ts';

const CHEAP = { memoryKib: 64, iterations: 2, parallelism: 1, threads: 1 };
const DEAR = { memoryKib: 64 * 1024, iterations: 4, threads: 1 };

function makePassword(): string {
  return randomBytes(16).toString('base64url');
}

function createHasher(t: Test, settings: Partial<PasswordHashSettings> = {}) {
  const hasher = createPasswordHasher({ ...CHEAP, ...settings });
  t.teardown(hasher.close);
  return hasher;
}

/** Collects every worker thread that is started from now on, one turn of the event loop later. */
function watchWorkers(t: Test): Worker[] {
  const workers: Worker[] = [];
  const add = (worker: Worker) => workers.push(worker);
  process.on('worker', add);
  t.teardown(() => process.off('worker', add));
  return workers;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return error instanceof AppError ? error.code : `not an AppError: ${inspect(error)}`;
}

test('a hash is verified by its own password and no other', async (t) => {
  const hasher = createHasher(t);
  const password = makePassword();
  const phc = await hasher.hash(password);
  t.match(phc, /^\$argon2id\$v=19\$m=64,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  t.equal(await hasher.verify(phc, password), true);
  t.equal(await hasher.verify(phc, `${password} `), false);
  t.equal(await hasher.verify(phc, password.slice(0, -1)), false);
  t.equal(await hasher.verify(phc, ''), false);
});

test('two hashes of one password differ', async (t) => {
  const hasher = createHasher(t);
  const password = makePassword();
  t.not(await hasher.hash(password), await hasher.hash(password));
});

test('a long password is not cut short', async (t) => {
  const hasher = createHasher(t);
  const password = 'x'.repeat(10_000);
  const phc = await hasher.hash(`${password}1`);
  t.equal(await hasher.verify(phc, `${password}1`), true);
  t.equal(await hasher.verify(phc, `${password}2`), false);
});

test('a password from a keyboard that decomposes its letters is the same password', async (t) => {
  const hasher = createHasher(t);
  const password = `${makePassword()}é`;
  t.equal(await hasher.verify(await hasher.hash(password.normalize('NFD')), password), true);
  t.equal(await hasher.verify(await hasher.hash(password), password.normalize('NFD')), true);
  t.equal(await hasher.verify(await hasher.hash('x²'), 'x2'), false);
});

test('lone surrogates and NUL do not break it', async (t) => {
  const hasher = createHasher(t);
  for (const password of ['\ud800', 'a\0b', '']) {
    t.equal(await hasher.verify(await hasher.hash(password), password), true);
  }
  t.equal(await hasher.verify(await hasher.hash('a\0b'), 'a\0c'), false);
});

test('no password fits an unknown user', async (t) => {
  const hasher = createHasher(t);
  t.equal(await hasher.verify(null, makePassword()), false);
  t.equal(await hasher.verify(null, ''), false);
});

test('an unknown user costs a place in the queue like a known one', async (t) => {
  const hasher = createHasher(t, { maxQueue: 0 });
  const unknown = hasher.verify(null, makePassword());
  t.equal(await codeOf(hasher.verify(null, makePassword())), 'overloaded');
  t.equal(await unknown, false);
});

test('a refusal takes as long for every strength of the stored hash as for an unknown user', async (t) => {
  const settings = { memoryKib: 4096, iterations: 2, threads: 1 };
  const hasher = createHasher(t, settings);
  const password = makePassword();
  const stored = [
    null,
    await hasher.hash(password),
    hashSync(password, { memoryCost: 64, timeCost: 1, parallelism: 1 }),
    hashSync(password, { memoryCost: 8192, timeCost: 4, parallelism: 1 }),
  ];
  const tookMs = stored.map((): number[] => []);
  // The first round is the one that may differ.
  for (let round = 0; round < 61; round += 1) {
    for (const [at, phc] of stored.entries()) {
      const startedAt = performance.now();
      t.notOk(await hasher.verify(phc, 'another'));
      if (round > 0) tookMs[at]?.push(performance.now() - startedAt);
    }
  }
  const medians = tookMs.map((list) => list.sort((a, b) => a - b)[30] ?? Number.NaN);
  // The strongest alone takes four times as long as the settings, and the weakest next to nothing.
  t.ok(Math.max(...medians) < 1.5 * Math.min(...medians), inspect(medians));
});

test('the right password fits beside hashes of other strengths, also in the form of before', async (t) => {
  const hasher = createHasher(t);
  const password = `${makePassword()}\u00a0x`;
  const former = { before: hashSync(password, { memoryCost: 128, timeCost: 1, parallelism: 1 }) };
  const phc = await hasher.hash(password);
  for (let round = 0; round < 2; round += 1) {
    t.equal(await hasher.verify(former.before, password), true, 'made before spaces were mapped');
    t.equal(await hasher.verify(former.before, password.replace('\u00a0', ' ')), false);
    t.equal(await hasher.verify(phc, password), true);
    t.equal(await hasher.verify(phc, password.replace('\u00a0', ' ')), true);
    t.equal(await hasher.verify(phc, 'another'), false);
    t.equal(await hasher.verify(null, password), false);
  }
});

test('a full queue refuses at once and says when to come back', async (t) => {
  const hasher = createHasher(t, { ...DEAR, maxQueue: 1 });
  const password = makePassword();
  let isAnyDone = false;
  const accepted = [hasher.hash(password), hasher.hash(password)];
  for (const hash of accepted) void hash.then(() => (isAnyDone = true));

  const refused: unknown = await hasher.hash(password).catch((error) => error);
  t.notOk(isAnyDone);
  t.match(refused, { code: 'overloaded', retryAfterSeconds: 1 });
  t.notMatch(inspect(refused), password);

  t.equal((await Promise.all(accepted)).length, 2);
  t.ok(await hasher.hash(password), 'there is room again');
});

test('who asks for room is let through while there is some, and refused after a moment when there is none', async (t) => {
  const hasher = createHasher(t, { ...DEAR, maxQueue: 0 });
  await t.resolves(hasher.requireRoom());
  const hashed = hasher.hash(makePassword());
  const startedAt = performance.now();
  await t.rejects(hasher.requireRoom(), { code: 'overloaded', retryAfterSeconds: 1 });
  t.ok(performance.now() - startedAt >= 14);
  await hashed;
});

test('the queue holds 32 a thread by default', async (t) => {
  const hasher = createHasher(t, { threads: 2 });
  const accepted = Array.from({ length: 2 + 64 }, () => hasher.hash(makePassword()));
  t.equal(await codeOf(hasher.hash(makePassword())), 'overloaded');
  await Promise.all(accepted);
});

test('first come, first served', async (t) => {
  const hasher = createHasher(t);
  const served: number[] = [];
  const order = [0, 1, 2, 3, 4, 5];
  await Promise.all(order.map((turn) => hasher.hash(makePassword()).then(() => served.push(turn))));
  t.same(served, order);
});

test('the event loop turns while passwords are hashed', async (t) => {
  const hasher = createHasher(t, DEAR);
  let isDone = false;
  const batch = Promise.all([hasher.hash(makePassword()), hasher.verify(null, makePassword())]).then(() => {
    isDone = true;
  });
  await setImmediate();
  t.notOk(isDone);
  await batch;
  t.ok(isDone);
});

test('a hash weaker than the settings is to be made again, a stronger one is not', async (t) => {
  const settings = { memoryKib: 128, iterations: 3, parallelism: 2 };
  const hasher = createHasher(t, settings);
  const made = (change: Partial<PasswordHashSettings>) => {
    const { memoryKib, iterations, parallelism } = { ...settings, ...change };
    return hashSync(makePassword(), { memoryCost: memoryKib, timeCost: iterations, parallelism });
  };
  t.equal(hasher.needsRehash(await hasher.hash(makePassword())), false);
  t.equal(hasher.needsRehash(made({})), false);
  for (const weaker of [{ memoryKib: 127 }, { iterations: 2 }, { parallelism: 1 }]) {
    t.equal(hasher.needsRehash(made(weaker)), true, inspect(weaker));
  }
  for (const stronger of [{ memoryKib: 256 }, { iterations: 4 }, { parallelism: 3 }]) {
    t.equal(hasher.needsRehash(made(stronger)), false, inspect(stronger));
  }
  t.equal(hasher.needsRehash(made({ memoryKib: 1024, iterations: 2 })), true, 'one stronger, one weaker');
});

test('a hash of another argon2, or of its older version, verifies and is to be made again', async (t) => {
  const hasher = createHasher(t);
  const password = makePassword();
  const cost = { memoryCost: 64, timeCost: 2, parallelism: 1 };
  for (const other of [{ algorithm: 0 }, { algorithm: 1 }, { version: 0 }]) {
    const phc = hashSync(password, { ...cost, ...other });
    t.equal(await hasher.verify(phc, password), true);
    t.equal(hasher.needsRehash(phc), true);
  }
});

test('a stored hash that cannot be read is an error that tells neither hash nor password', async (t) => {
  const hasher = createHasher(t);
  const password = makePassword();
  const [, algorithm, version, cost, salt, hash] = (await hasher.hash(password)).split('$');
  const malformed = [
    '',
    '\0',
    password,
    `$2b$10$${salt}`,
    `$${algorithm}$${version}$${cost}$${salt}`,
    `$${algorithm}$${version}$${cost}$${salt}$`,
    `$${algorithm}$${version}$${cost}$${salt}$${hash}$`,
    `$${algorithm}$${version}$${cost}$${salt}$!${hash?.slice(1)}`,
    `$${algorithm}$${version}$m=0,t=0,p=0$${salt}$${hash}`,
    `$argon2id$v=20$${cost}$${salt}$${hash}`,
  ];
  for (const phc of malformed) {
    const error: unknown = await hasher.verify(phc, password).catch((cause) => cause);
    t.match(error, { message: 'A stored password hash cannot be read' });
    t.notMatch(inspect(error), password);
    t.notMatch(inspect(error), hash);
    t.throws(() => hasher.needsRehash(phc), {
      message: 'A stored password hash cannot be read',
    });
  }
});

test('settings that argon2 does not take are refused at start', async (t) => {
  t.throws(() => createPasswordHasher({ ...CHEAP, memoryKib: 1 }), { message: 'Memory cost is too small' });
});

test('leaves one core to the event loop by default', async (t) => {
  const workers = watchWorkers(t);
  const hasher = createPasswordHasher({ memoryKib: 64, iterations: 1 });
  t.teardown(hasher.close);
  await setImmediate();
  t.equal(workers.length, Math.max(1, availableParallelism() - 1));
  t.match(await hasher.hash(makePassword()), /^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
});

test('a thread that ends in the middle of a hash makes it unavailable, and is replaced', async (t) => {
  const workers = watchWorkers(t);
  const hasher = createHasher(t, DEAR);
  const password = makePassword();
  const interrupted = hasher.hash(password).catch((error: unknown) => error);
  await setImmediate();
  await workers[0]?.terminate();
  const error = await interrupted;
  t.match(error, { code: 'unavailable', retryAfterSeconds: 1 });
  t.notMatch(inspect(error), password);
  t.equal(await hasher.verify(await hasher.hash(password), password), true);
});

test('a thread that fails while idle is reported and replaced', async (t) => {
  for (const isListening of [true, false]) {
    const workers = watchWorkers(t);
    const reported: Error[] = [];
    const onWorkerError = (error: Error) => reported.push(error);
    const hasher = createHasher(t, isListening ? { onWorkerError } : {});
    await hasher.hash(makePassword());
    workers[0]?.emit('error', new Error('broken'));
    t.same(
      reported.map((error) => error.message),
      isListening ? ['broken'] : [],
    );
    t.ok(await hasher.hash(makePassword()));
    t.equal(workers.length, 2);
  }
});

test('closing lets accepted work finish, ends the threads and refuses the rest', async (t) => {
  const workers = watchWorkers(t);
  const hasher = createHasher(t, { ...DEAR, threads: 2 });
  await setImmediate();
  const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  const accepted = Promise.all(Array.from({ length: 5 }, () => hasher.hash(makePassword())));
  const closing = hasher.close();
  t.equal(await codeOf(hasher.hash(makePassword())), 'unavailable');
  await closing;
  t.equal((await accepted).length, 5);
  t.equal((await Promise.all(exits)).length, 2);
  t.equal(await codeOf(hasher.verify(null, makePassword())), 'unavailable');
  await hasher.close();
});

test('idle threads do not keep the process alive', async (t) => {
  const file = new URL('../../src/passwords/password-hash.ts', import.meta.url).href;
  const script = `
    const { createPasswordHasher } = await import(${JSON.stringify(file)});
    await createPasswordHasher({ memoryKib: 64, iterations: 1 }).hash('${makePassword()}');
    console.log('hashed');`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 });
  t.equal(child.stdout.toString().trim(), 'hashed');
  t.equal(child.status, 0);
});

test('threads give way to the event loop', {
  skip: process.platform !== 'linux' && 'Linux only',
}, async (t) => {
  const hasher = createHasher(t, { threads: 2 });
  const before = threadPriorities();
  await Promise.all(Array.from({ length: 4 }, () => hasher.hash(makePassword())));
  const own = before.get(process.pid) ?? Number.NaN;
  const lowered = [...threadPriorities().values()].filter((nice) => nice === Math.min(19, own + 10));
  t.equal(threadPriorities().get(process.pid), own);
  t.equal(lowered.length, 2);
});

test('the worker makes and checks a hash', async (t) => {
  const password = makePassword();
  const phc = hashPassword({ password, options: { memoryCost: 64, timeCost: 1, parallelism: 1 } });
  const other = hashPassword({ password: makePassword(), options: { memoryCost: 64, timeCost: 1 } });
  for (const hashes of [[phc], [phc, other], [other, phc]]) {
    t.equal(verifyPassword({ password, hashes }), true);
    t.equal(verifyPassword({ password: makePassword(), hashes }), false);
  }
  t.throws(() => verifyPassword({ password, hashes: ['x'] }), {
    message: 'A stored password hash cannot be read',
  });
});

/** Nice value by thread id: field 19 of /proc/…/stat, counted after the name in parentheses, which may hold spaces. */
function threadPriorities(): Map<number, number> {
  const nice = (tid: string) => {
    const stat = readFileSync(`/proc/self/task/${tid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  };
  return new Map(readdirSync('/proc/self/task').map((tid) => [Number(tid), nice(tid)]));
}
