import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { sql } from '../../src/db/drizzle.ts';
import { openPasswords } from '../support/passwords.ts';

test('the password of an account that is gone, or has another address by now, proves nothing', async (t) => {
  const { passwords, addAccount, database, find, rowOf } = await openPasswords(t);
  for (const change of [
    sql`update users set email = ${`${randomBytes(6).toString('hex')}@example.com`}`,
    sql`delete from users`,
  ]) {
    const { id, session, password, visitor } = await addAccount();
    const live = await find(session.generateToken);
    if (live === null) throw new Error('the session is not there');
    t.equal((await rowOf(id)).id, id);
    await database.execute(change);
    const wish = { currentPassword: password, newPassword: randomBytes(18).toString('base64url') };
    await t.rejects(passwords.change(live, wish, visitor), { code: 'not_signed_in' });
  }
});
