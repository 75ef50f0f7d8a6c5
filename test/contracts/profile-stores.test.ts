import { randomBytes, randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { createDeletionStore } from '../../src/accounts/deletion-store.ts';
import { createExportStore } from '../../src/accounts/export-store.ts';
import { createProfileStore } from '../../src/accounts/profile-store.ts';
import { createCodeStore } from '../../src/codes/code-store.ts';
import { eq } from '../../src/db/drizzle.ts';
import { oneTimeCodes, sessions, users } from '../../src/db/schema.ts';
import { createSessionHistoryStore } from '../../src/sessions/session-history-store.ts';
import { createSessionStore } from '../../src/sessions/session-store.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const HOUR_MS = 3_600_000;
const NIL = '00000000-0000-0000-0000-000000000000';

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const accounts = createAccountStore(database);
    const addUser = async () => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      const values = { id, email, emailAsTyped: email.toUpperCase(), passwordHash: `hash of ${id}` };
      await transact((transaction) => accounts.insert(transaction, values));
      return id;
    };
    const addSession = async (userId: string) => {
      const session = { id: randomUUID(), userId, tokenHash: randomBytes(32), amr: ['pwd'] };
      const device = { ip: '192.0.2.1', userAgent: 'Lynx' };
      await transact((transaction) =>
        createSessionStore(database).insert(transaction, {
          ...session,
          ttlMs: HOUR_MS,
          idleTtlMs: HOUR_MS,
          device,
        }),
      );
      return session.id;
    };
    const addCode = async (userId: string, purpose: 'verify_email' | 'undo_deletion' = 'verify_email') => {
      const id = randomUUID();
      const code = { id, userId, purpose, email: 'ada@example.com', context: { a: 'b' }, lifeMs: HOUR_MS };
      const hashes = { linkHash: randomBytes(32), typedHash: null, browserHash: null };
      await transact((transaction) => createCodeStore(database).insert(transaction, { ...code, ...hashes }));
      return id;
    };
    return { ...opened, accounts, addUser, addSession, addCode };
  }

  t.test('a profile is stored and read, and no other one is changed', async (t) => {
    const { accounts, addUser, transact } = await setUp(t);
    const store = createProfileStore();
    const [id, bystander] = [await addUser(), await addUser()];
    const profile = {
      displayName: 'Zoë',
      locale: 'pt-BR',
      metadata: { a: [null, 1.5, '\u2028'], b: { c: {} } },
    };
    await transact((transaction) => store.save(transaction, id, profile));
    const user = await transact((transaction) => store.lock(transaction, id));
    t.match(user, { id, ...profile });
    t.strictSame(user?.metadata, profile.metadata);
    t.strictSame(await accounts.findById(id), user);
    t.match(await accounts.findById(bystander), { displayName: null, locale: null, metadata: {} });
    t.equal(await transact((transaction) => store.lock(transaction, randomUUID())), null);
  });

  t.test('a deletion is due after its delay, in database time, unless it is undone', async (t) => {
    const { accounts, addUser, transact, moveTime } = await setUp(t);
    const store = createDeletionStore();
    const due = async (limit = 10) =>
      (await transact((transaction) => store.lockDue(transaction, limit))).map(({ id }) => id);
    const schedule = (id: string, delayMs: number) =>
      transact((transaction) => store.schedule(transaction, id, delayMs));
    const undo = (id: string) => transact((transaction) => store.undo(transaction, id));
    const [first, second, kept, bystander] = [
      await addUser(),
      await addUser(),
      await addUser(),
      await addUser(),
    ];
    const dueAt = await schedule(second, 2 * HOUR_MS);
    await schedule(first, HOUR_MS);
    await schedule(kept, HOUR_MS);
    t.same((await accounts.findById(second))?.deletionDueAt, dueAt);
    t.equal(await undo(kept), true);
    t.equal(await undo(kept), false);
    t.equal(await undo(bystander), false);
    t.equal((await accounts.findById(kept))?.deletionDueAt, null);
    t.same(await due(), []);
    await moveTime(HOUR_MS + 1_000);
    t.same(await due(), [first]);
    await moveTime(HOUR_MS);
    t.same(await due(), [first, second]);
    t.same(await due(1), [first]);
  });

  t.test('with a user go their sessions and codes, and those of nobody else', async (t) => {
    const { database, addUser, addSession, addCode, transact } = await setUp(t);
    const store = createDeletionStore();
    const [id, bystander] = [await addUser(), await addUser()];
    for (const user of [id, bystander]) {
      await addSession(user);
      await addCode(user);
    }
    await transact(async (transaction) => {
      t.match(await store.lock(transaction, id), { id });
      await store.delete(transaction, id);
    });
    t.equal(await transact((transaction) => store.lock(transaction, id)), null);
    t.same(
      (await database.select().from(users)).map((row) => row.id),
      [bystander],
    );
    t.same(
      (await database.select().from(sessions)).map((row) => row.userId),
      [bystander],
    );
    t.same(
      (await database.select().from(oneTimeCodes)).map((row) => row.userId),
      [bystander],
    );
  });

  t.test('all of a user is shown but the hash of the password', async (t) => {
    const { database, addUser, transact } = await setUp(t);
    const store = createExportStore();
    const id = await addUser();
    const [row] = await database.select().from(users);
    const { passwordHash, ...rest } = row ?? {};
    t.ok(passwordHash);
    t.strictSame(await transact((transaction) => store.lock(transaction, id)), {
      ...rest,
      hasPassword: true,
    });
    await database.update(users).set({ passwordHash: null }).where(eq(users.id, id));
    t.match(await transact((transaction) => store.lock(transaction, id)), { hasPassword: false });
    t.equal(await transact((transaction) => store.lock(transaction, randomUUID())), null);
  });

  t.test("a user's sessions are listed in parts, the ended ones too, without what signs in", async (t) => {
    const { database, addUser, addSession } = await setUp(t);
    const store = createSessionHistoryStore(database);
    const [id, bystander] = [await addUser(), await addUser()];
    const ids = [await addSession(id), await addSession(id), await addSession(id)].sort();
    await addSession(bystander);
    await database.update(sessions).set({ endedAt: new Date(), endReason: 'signed_out' });
    const first = await store.list(id, 2, NIL);
    const rest = await store.list(id, 2, String(first.at(-1)?.id));
    t.same(
      [...first, ...rest].map((session) => session.id),
      ids,
    );
    const { userId, generateToken, version, ...shown } =
      (
        await database
          .select()
          .from(sessions)
          .where(eq(sessions.id, String(ids[0])))
      )[0] ?? {};
    t.strictSame(first[0], shown);
  });

  t.test("a user's codes are listed in parts, the spent ones too, without their hashes", async (t) => {
    const { database, addUser, addCode } = await setUp(t);
    const store = createCodeStore(database);
    const [id, bystander] = [await addUser(), await addUser()];
    const ids = [await addCode(id), await addCode(id), await addCode(id, 'undo_deletion')].sort();
    await addCode(bystander);
    await database.update(oneTimeCodes).set({ spentAt: new Date() });
    const first = await store.list(id, 2, NIL);
    const rest = await store.list(id, 2, String(first.at(-1)?.id));
    t.same(
      [...first, ...rest].map((code) => code.id),
      ids,
    );
    const { userId, linkHash, typedHash, browserHash, ...shown } =
      (
        await database
          .select()
          .from(oneTimeCodes)
          .where(eq(oneTimeCodes.id, String(ids[0])))
      )[0] ?? {};
    t.strictSame(first[0], shown);
  });
}
