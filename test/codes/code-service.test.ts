import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { type CodeStyle, createCodeService, type PresentedCode } from '../../src/codes/code-service.ts';
import type { CodeStore } from '../../src/codes/code-store.ts';
import { CODE_LIFE_MS, type CodePurpose, DEFENCES } from '../../src/codes/one-time-code.ts';
import { openCodes } from '../../src/codes/open-codes.ts';
import type { Transaction } from '../../src/db/database.ts';
import { sql } from '../../src/db/drizzle.ts';
import { oneTimeCodes, users } from '../../src/db/schema.ts';
import { openPostgres } from '../support/adapters.ts';
import { createPlatform } from '../support/platform.ts';

const MINUTE_MS = 60_000;

async function setUp(_t: Test, style: CodeStyle = 'both') {
  const opened = await openPostgres();
  const { database, transact } = opened;
  const openReplica = () => openCodes(createPlatform(database, { config: { CODE_STYLE: style } }));
  const { service: codes, sweeps } = openReplica();
  const addUser = async () => {
    const userId = randomUUID();
    const email = `${userId}@example.com`;
    await database.insert(users).values({ id: userId, email, emailAsTyped: email });
    return { userId, email };
  };
  const owner = await addUser();
  const issue = (purpose: CodePurpose = 'reset_password', to = owner) =>
    transact((transaction) => codes.issue(transaction, { ...to, purpose }));
  const use = (presented: PresentedCode, purpose: CodePurpose = 'reset_password') =>
    codes.check(purpose, presented).then((code) => transact((transaction) => codes.spend(transaction, code)));
  const spendAll = () => transact((transaction) => codes.spendAll(transaction, owner.userId));
  const typedBy = (typed: string | null, email = owner.email) => ({ email, typed: String(typed) });
  const linkOf = ({ link }: { link: string | null }) => ({ link: String(link) });
  return {
    ...opened,
    ...{ codes, sweeps, openReplica, addUser, owner, issue, use, spendAll, typedBy, linkOf },
  };
}

const refused = { code: 'invalid_code' };

for (const [style, forms] of [
  ['link', { link: String, typed: null }],
  ['code', { link: null, typed: String }],
  ['both', { link: String, typed: String }],
] as const) {
  test(`CODE_STYLE=${style} makes these forms and no others, and each one is good`, async (t) => {
    const { issue, use, typedBy, linkOf, database } = await setUp(t, style);
    const issued = await issue();
    t.match(issued, forms);
    const [row] = await database.select().from(oneTimeCodes);
    t.equal(row?.linkHash === null, style === 'code');
    t.equal(row?.typedHash === null, style === 'link');
    if (issued.link !== null) await t.resolves(use(linkOf(issued)));
    const { typed } = issued.link === null ? issued : await issue();
    if (typed !== null) await t.resolves(use(typedBy(typed)));
  });
}

test('neither form of a code is in the database', async (t) => {
  const { issue, database } = await setUp(t);
  const { link, typed } = await issue();
  const dump = JSON.stringify(await database.execute(sql`select one_time_codes::text from one_time_codes`));
  for (const secret of [link, typed, Buffer.from(String(link), 'base64url').toString('hex')])
    t.notOk(dump.includes(String(secret)));
});

test('a code is bound to its user, its purpose and its address', async (t) => {
  const { issue, codes, owner, addUser, typedBy, linkOf } = await setUp(t);
  const stranger = await addUser();
  const issued = await issue();
  await t.rejects(codes.check('verify_email', linkOf(issued)), refused);
  await t.rejects(codes.check('verify_email', typedBy(issued.typed)), refused);
  await t.rejects(codes.check('reset_password', typedBy(issued.typed, stranger.email)), refused);
  const { userId } = stranger;
  await t.rejects(codes.check('reset_password', { ...typedBy(issued.typed), userId }), refused);
  await t.rejects(codes.check('reset_password', { userId, typed: String(issued.typed) }), refused);
  for (const presented of [linkOf(issued), typedBy(issued.typed), { ...typedBy(issued.typed), ...owner }])
    t.match(await codes.check('reset_password', presented), { ...owner, purpose: 'reset_password' });
});

test('a code may be for one of several purposes, and tells which', async (t) => {
  const { issue, codes, typedBy, linkOf } = await setUp(t);
  const issued = await issue('not_me');
  const wanted: CodePurpose[] = ['reset_password', 'not_me'];
  for (const presented of [linkOf(issued), typedBy(issued.typed)])
    t.match(await codes.check(wanted, presented), { purpose: 'not_me' });
});

test('checking a code does not spend it, and what is no code at all is refused', async (t) => {
  const { issue, codes, use, linkOf } = await setUp(t);
  const issued = await issue();
  for (let n = 0; n < 3; n += 1) await codes.check('reset_password', linkOf(issued));
  await t.resolves(use(linkOf(issued)));
  for (const link of ['', 'x', '💥', 'A'.repeat(43)]) await t.rejects(use({ link }), refused);
});

test('one of 50 who use a code at the same time, at two replicas, wins', async (t) => {
  const { issue, codes, openReplica, transact, linkOf } = await setUp(t);
  const replicas = [codes, openReplica().service];
  const presented = linkOf(await issue());
  const tries = Array.from({ length: 50 }, async (_, at) => {
    const replica = replicas[at % 2] ?? codes;
    const code = await replica.check('reset_password', presented);
    await transact((transaction) => replica.spend(transaction, code));
  });
  const outcomes = await Promise.allSettled(tries);
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) if (outcome.status === 'rejected') t.match(outcome.reason, refused);
});

test('using one code spends the others of its purpose and user', async (t) => {
  const { issue, use, addUser, linkOf, typedBy } = await setUp(t);
  const [first, second, verify] = [await issue(), await issue(), await issue('verify_email')];
  const stranger = await addUser();
  const theirs = await issue('reset_password', stranger);
  await use(linkOf(second));
  await t.rejects(use(linkOf(first)), refused);
  await t.rejects(use(typedBy(first.typed)), refused);
  await t.resolves(use(linkOf(verify), 'verify_email'));
  await t.resolves(use(linkOf(theirs)));
});

test('a change of the password or the address spends all codes but the defences', async (t) => {
  const { issue, use, spendAll, linkOf } = await setUp(t);
  const purposes = Object.keys(CODE_LIFE_MS) as CodePurpose[];
  const issued = new Map<CodePurpose, Awaited<ReturnType<typeof issue>>>();
  for (const purpose of purposes) issued.set(purpose, await issue(purpose));
  await spendAll();
  for (const [purpose, code] of issued)
    if (DEFENCES.includes(purpose)) await t.resolves(use(linkOf(code), purpose), purpose);
    else await t.rejects(use(linkOf(code), purpose), refused, purpose);
});

test('a defence that is used leaves the earlier ones good, which may be those of the owner', async (t) => {
  const { issue, use, linkOf, moveTime } = await setUp(t);
  const owners = await issue('not_me');
  await moveTime(MINUTE_MS);
  const thiefs = await issue('not_me');
  await use(linkOf(thiefs), 'not_me');
  await t.resolves(use(linkOf(owners), 'not_me'));
});

for (const [purpose, lifeMs] of Object.entries(CODE_LIFE_MS) as [CodePurpose, number][]) {
  test(`${purpose} is good for ${lifeMs / MINUTE_MS} minutes`, async (t) => {
    const { issue, codes, typedBy, linkOf, moveTime } = await setUp(t);
    const issued = await issue(purpose);
    await moveTime(lifeMs - 5_000);
    await t.resolves(codes.check(purpose, linkOf(issued)));
    await t.resolves(codes.check(purpose, typedBy(issued.typed)));
    await moveTime(5_000);
    await t.rejects(codes.check(purpose, linkOf(issued)), refused);
    await t.rejects(codes.check(purpose, typedBy(issued.typed)), refused);
  });
}

test('a code may have a life of its own, and is not spent when that is over', async (t) => {
  const { codes, owner, transact, linkOf, moveTime } = await setUp(t);
  const wish = { ...owner, purpose: 'undo_deletion', lifeMs: MINUTE_MS } as const;
  const issued = await transact((transaction) => codes.issue(transaction, wish));
  const code = await codes.check('undo_deletion', linkOf(issued));
  await moveTime(MINUTE_MS);
  await t.rejects(
    transact((transaction) => codes.spend(transaction, code)),
    refused,
  );
});

test('a code is not there before its transaction is committed, and never after it failed', async (t) => {
  const { codes, owner, transact, linkOf } = await setUp(t);
  const change = new Error('changed my mind');
  let presented: PresentedCode = { link: '' };
  const failing = transact(async (transaction) => {
    presented = linkOf(await codes.issue(transaction, { ...owner, purpose: 'reset_password' }));
    throw change;
  });
  await t.rejects(failing, change);
  await t.rejects(codes.check('reset_password', presented), refused);
});

test('after five wrong tries the right code for typing is refused, and the link is still good', async (t) => {
  const { issue, codes, typedBy, linkOf } = await setUp(t);
  const issued = await issue();
  for (let n = 0; n < 4; n += 1)
    await t.rejects(codes.check('reset_password', typedBy('AAAA-AAAA')), refused);
  await t.resolves(codes.check('reset_password', typedBy(issued.typed)), 'four leave it good');
  await t.rejects(codes.check('reset_password', typedBy('AAAA-AAAA')), refused);
  await t.rejects(codes.check('reset_password', typedBy(issued.typed)), refused);
  await t.resolves(codes.check('reset_password', linkOf(issued)));
});

test('fifty wrong tries at the same time are no more than five, and ten of the address', async (t) => {
  const { issue, openReplica, codes, typedBy, database } = await setUp(t);
  const issued = await issue();
  const replicas = [codes, openReplica().service];
  const tries = Array.from({ length: 50 }, (_, at) =>
    (replicas[at % 2] ?? codes).check('reset_password', typedBy('AAAA-AAAA')),
  );
  const outcomes = await Promise.allSettled(tries);
  const count = (code: string) =>
    outcomes.filter((outcome) => outcome.status === 'rejected' && outcome.reason.code === code).length;
  t.same([count('invalid_code'), count('rate_limited')], [10, 40]);
  const [row] = await database.select().from(oneTimeCodes);
  t.equal(row?.wrongTries, 5);
  await t.rejects(codes.check('reset_password', typedBy(issued.typed)), { code: 'rate_limited' });
});

test('ten wrong codes for an address are enough for a quarter of an hour, new codes or not', async (t) => {
  const { issue, codes, typedBy, moveTime } = await setUp(t);
  for (const email of [undefined, 'nobody@example.com']) {
    const guess = (typed: string | null) => codes.check('reset_password', typedBy(typed, email));
    for (let n = 0; n < 10; n += 1) await t.rejects(guess('AAAA-AAAA'), refused);
    const { typed, link } = await issue();
    await t.rejects(guess(typed), { code: 'rate_limited', retryAfterSeconds: Number });
    await t.resolves(codes.check('reset_password', { link: String(link) }), 'a link is not guessed');
    await moveTime(15 * MINUTE_MS);
    await t.rejects(guess('AAAA-AAAA'), refused);
  }
});

test('right codes for typing do not count, however often they are checked', async (t) => {
  const { issue, codes, typedBy } = await setUp(t);
  const { typed } = await issue();
  for (let n = 0; n < 15; n += 1) await t.resolves(codes.check('reset_password', typedBy(typed)));
});

test('a guess that could not be looked at does not count', async (t) => {
  const { issue, database, codes, typedBy } = await setUp(t);
  const { typed } = await issue();
  await database.execute(sql`alter table one_time_codes rename to away`);
  try {
    for (let n = 0; n < 11; n += 1)
      await t.rejects(codes.check('reset_password', typedBy(typed)), { name: 'DatabaseError' });
  } finally {
    await database.execute(sql`alter table away rename to one_time_codes`);
  }
  await t.resolves(codes.check('reset_password', typedBy(typed)));
});

test('codes that are too old are swept with everything else', async (t) => {
  const { issue, sweeps, transact, database, moveTime } = await setUp(t);
  await issue();
  await moveTime(11 * MINUTE_MS);
  for (const sweep of sweeps) t.equal(await transact((transaction) => sweep(transaction, 10)), 1);
  t.equal(await database.$count(oneTimeCodes), 0);
  t.equal(sweeps.length, 1);
});

test('a try stores something even where there is no code, so that its time does not tell', async (t) => {
  const written: unknown[] = [];
  const tried: unknown[] = [];
  const takeTry = async (transaction: Transaction) => {
    tried.push(transaction);
    return [];
  };
  const rewrite = async (transaction: Transaction) => void written.push(transaction);
  const codes = createCodeService({
    store: { takeTry } as unknown as CodeStore,
    style: 'both',
    guesses: { take: async () => ({ giveBack: async () => {}, rewrite }) },
    transact: (work) => work({} as Transaction),
  });
  const presented = { email: 'anna@example.com', typed: '0123456789' };
  await t.rejects(codes.check('reset_password', presented), refused);
  t.equal(written.length, 1);
  t.equal(written[0], tried[0]);
});
