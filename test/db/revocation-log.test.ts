import { createHash } from 'node:crypto';
import { test } from 'tap';
import { asc, sql } from '../../src/db/drizzle.ts';
import { createRevocationLog, hashOfId } from '../../src/db/revocation-log.ts';
import { revocations } from '../../src/db/schema.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const number = async ({ database }: TestDatabase, most: number) =>
  database.execute(sql`select * from number_revocations(${most})`);

const rowsOf = ({ database }: TestDatabase) =>
  database.select().from(revocations).orderBy(asc(revocations.id));

for (const { name, open } of databases) {
  test(`${name}: each kind of act notes what it makes void, and rows get their places after the commit`, async (t) => {
    const world = await open(t);
    const log = createRevocationLog();
    let heard = 0;
    log.listen(() => {
      heard += 1;
    });
    await world.transact(async (transaction) => {
      await log.sessionsEnded(transaction, ['s1', 's2']);
      await log.sessionsEnded(transaction, []);
      await log.tokenRevoked(transaction, 'j');
      await log.claimsChanged(transaction, 'u', 7);
      await log.clientChanged(transaction, 'c');
      await log.keyRevoked(transaction, 'kid-1');
      t.equal(heard, 0, 'nothing is told before the commit');
    });
    t.equal(heard, 5, 'once for each note');
    const noted = await rowsOf(world);
    t.strictSame(
      noted.map(({ kind, subject, value, seq }) => [kind, subject.toString('hex'), value, seq]),
      [
        ['session', hashOfId('s1').toString('hex'), null, null],
        ['session', hashOfId('s2').toString('hex'), null, null],
        ['token', hashOfId('j').toString('hex'), null, null],
        ['user', hashOfId('u').toString('hex'), 7, null],
        ['client', hashOfId('c').toString('hex'), null, null],
        ['key', Buffer.from('kid-1').toString('hex'), null, null],
      ],
    );

    const before = Math.floor(Date.now() / 1000);
    await number(world, 4);
    t.strictSame(
      (await rowsOf(world)).map(({ seq }) => seq),
      [1, 2, 3, 4, null, null],
      'as many as are asked for, in the order of the ids',
    );
    await number(world, 4);
    const numbered = await rowsOf(world);
    t.strictSame(
      numbered.map(({ seq }) => seq),
      [1, 2, 3, 4, 5, 6],
    );
    const second = Number(numbered[4]?.value);
    t.ok(second >= before && second <= before + 60, 'the second of a client is that of the numbering');
    t.equal(numbered[3]?.value, 7, 'no other value changes');
  });

  test(`${name}: what is rolled back is not noted, and nobody is told`, async (t) => {
    const world = await open(t);
    const log = createRevocationLog();
    log.listen(() => t.fail('nobody is told'));
    const undone = world.transact(async (transaction) => {
      await log.tokenRevoked(transaction, 'j');
      throw new Error('undo');
    });
    await t.rejects(undone, { message: 'undo' });
    t.strictSame(await rowsOf(world), []);
  });
}

test('the hash of an id is the first 8 bytes of SHA-256 of its text', async (t) => {
  const id = '0195c7f6-7f3b-7c3e-b1a4-000000000001';
  t.equal(hashOfId(id).toString('hex'), createHash('sha256').update(id).digest('hex').slice(0, 16));
});
