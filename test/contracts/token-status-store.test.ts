import { randomBytes, randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { roles, spentTokens, users } from '../../src/db/schema.ts';
import { createClientStore } from '../../src/oauth/client-store.ts';
import { createSessionStore } from '../../src/sessions/session-store.ts';
import { createTokenStatusStore } from '../../src/tokens/token-status-store.ts';
import { databases, openPostgres, type TestDatabase } from '../support/adapters.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const store = createTokenStatusStore(database);
    const sessions = createSessionStore(database);
    const userId = randomUUID();
    const email = `${userId}@example.com`;
    const user = { id: userId, email, emailAsTyped: email, passwordHash: 'hash' };
    await transact((transaction) => createAccountStore(database).insert(transaction, user));
    const sessionId = randomUUID();
    const session = {
      id: sessionId,
      userId,
      tokenHash: randomBytes(32),
      ttlMs: 2 * HOUR_MS,
      idleTtlMs: HOUR_MS,
      amr: ['pwd'],
    };
    const device = { ip: '192.0.2.1', userAgent: null };
    await transact((transaction) => sessions.insert(transaction, { ...session, device }));
    const signOut = () =>
      transact((transaction) => sessions.end(transaction, { userId, sessionId }, 'signed_out'));
    const makeToken = () => ({ jti: randomBytes(16).toString('base64url'), sessionId, userId });
    const inAnHour = new Date(Date.now() + HOUR_MS);
    const makeRedemption = () => ({
      ...makeToken(),
      clientId: 'payments',
      idempotencyKey: null as string | null,
      expiresAt: inAnHour,
    });
    const ban = () => database.update(users).set({ status: 'banned' }).where(eq(users.id, userId));
    const revoke = (jti: string, clientId: string, expiresAt = inAnHour) =>
      transact((transaction) => store.revoke(transaction, { jti, clientId, expiresAt }));
    return { ...opened, store, revoke, email, signOut, ban, makeToken, makeRedemption, inAnHour };
  }

  t.test('a token of a live session has its user, as the database has them now', async (t) => {
    const { store, database, email, makeToken } = await setUp(t);
    const token = makeToken();
    t.strictSame(await store.findUserClaims(token), { email, email_verified: false, cv: 1 });
    const changes = { email: `new-${email}`, emailVerifiedAt: sql`now()`, claimsVersion: 2 };
    await database.update(users).set(changes);
    t.strictSame(await store.findUserClaims(token), { email: `new-${email}`, email_verified: true, cv: 2 });
  });

  t.test('a user with roles has them, and their scopes', async (t) => {
    const { store, database, email, makeToken } = await setUp(t);
    const [one, two] = [`r${randomUUID()}`, `s${randomUUID()}`];
    await database.insert(roles).values([
      { name: one, scopes: ['b', 'a:2', 'B'] },
      { name: two, scopes: ['b', 'c'] },
    ]);
    await database.update(users).set({ roles: [one, two] });
    t.strictSame(await store.findUserClaims(makeToken()), {
      ...{ email, email_verified: false, cv: 1 },
      ...{ roles: [one, two], scope: 'B a:2 b c' },
    });
  });

  t.test('a token of another user, or of another session, has none', async (t) => {
    const { store, makeToken } = await setUp(t);
    t.equal(await store.findUserClaims({ ...makeToken(), userId: randomUUID() }), null);
    t.equal(await store.findUserClaims({ ...makeToken(), sessionId: randomUUID() }), null);
  });

  t.test('a token has none once the session has ended', async (t) => {
    const { store, signOut, makeToken } = await setUp(t);
    await signOut();
    t.equal(await store.findUserClaims(makeToken()), null);
  });

  t.test('a token has none once the session was not used for too long', async (t) => {
    const { store, moveTime, makeToken } = await setUp(t);
    await moveTime(HOUR_MS);
    t.equal(await store.findUserClaims(makeToken()), null);
  });

  t.test('a token has none while its user is banned', async (t) => {
    const { store, ban, makeToken, makeRedemption } = await setUp(t);
    await ban();
    t.equal(await store.findUserClaims(makeToken()), null);
    t.equal(await store.redeem(makeRedemption()), false);
  });

  t.test('a revoked token has none, however often it is revoked, and others go on', async (t) => {
    const { store, revoke, makeToken } = await setUp(t);
    const [revoked, other] = [makeToken(), makeToken()];
    for (const isNew of [true, false]) t.equal(await revoke(revoked.jti, 'payments'), isNew);
    t.equal(await store.findUserClaims(revoked), null);
    t.not(await store.findUserClaims(other), null);
  });

  t.test("a client's own token holds until the client is disabled or the token revoked", async (t) => {
    const { store, revoke, database, transact } = await setUp(t);
    const clients = createClientStore(database);
    const client = { id: 'shop', name: 'Shop', secretHash: randomBytes(32), publicKeys: null };
    const rights = { scopes: ['a', 'b'], audiences: ['shop'] };
    const shop = { ...client, ...rights };
    await transact((transaction) => clients.insert(transaction, shop));
    t.strictSame(await store.findClientRights('one', 'shop'), rights);
    t.equal(await store.findClientRights('one', 'nobody'), null);
    await revoke('one', 'shop');
    t.equal(await store.findClientRights('one', 'shop'), null);
    await transact((transaction) => clients.update(transaction, 'shop', { scopes: ['b'] }));
    t.strictSame(await store.findClientRights('two', 'shop'), { ...rights, scopes: ['b'] }, 'as it is now');
    await transact((transaction) => clients.disable(transaction, 'shop'));
    t.equal(await store.findClientRights('two', 'shop'), null);
  });

  t.test('a single-use token is redeemed once', async (t) => {
    const { store, makeRedemption } = await setUp(t);
    const redemption = makeRedemption();
    t.equal(await store.redeem(redemption), true);
    t.equal(await store.redeem(redemption), false);
    t.equal(await store.redeem(makeRedemption()), true, 'and the next one too');
  });

  t.test('of many at once one wins', async (t) => {
    const { store, database, makeRedemption } = await setUp(t);
    for (let round = 0; round < 10; round += 1) {
      const redemption = makeRedemption();
      const tries = Array.from({ length: 20 }, (_, at) =>
        store.redeem({ ...redemption, clientId: `client-${at}` }),
      );
      t.equal((await Promise.all(tries)).filter(Boolean).length, 1);
    }
    t.equal(await database.$count(spentTokens), 10);
  });

  t.test('the winner, and nobody else, may ask again with its key', async (t) => {
    const { store, signOut, makeRedemption } = await setUp(t);
    const redemption = { ...makeRedemption(), idempotencyKey: 'order-7' };
    t.equal(await store.redeem(redemption), true);
    t.equal(await store.redeem(redemption), true);
    for (const other of [{ idempotencyKey: 'order-8' }, { idempotencyKey: null }, { clientId: 'shop' }])
      t.equal(await store.redeem({ ...redemption, ...other }), false);
    await signOut();
    t.equal(await store.redeem(redemption), true, 'also when the session has ended since: it was won before');
  });

  t.test('whoever won without a key cannot ask again', async (t) => {
    const { store, makeRedemption } = await setUp(t);
    const redemption = makeRedemption();
    await store.redeem(redemption);
    t.equal(await store.redeem({ ...redemption, idempotencyKey: 'late' }), false);
  });

  t.test('a single-use token of an ended session is not redeemed, and not spent either', async (t) => {
    const { store, database, signOut, makeRedemption } = await setUp(t);
    await signOut();
    t.equal(await store.redeem(makeRedemption()), false);
    t.equal(await database.$count(spentTokens), 0);
  });

  t.test('a revoked single-use token is not redeemed', async (t) => {
    const { store, revoke, makeRedemption } = await setUp(t);
    const redemption = { ...makeRedemption(), idempotencyKey: 'order-7' };
    await revoke(redemption.jti, 'payments');
    t.equal(await store.redeem(redemption), false);
  });

  t.test('an assertion is used once by each client', async (t) => {
    const { store, inAnHour } = await setUp(t);
    const assertion = { jti: 'first', expiresAt: inAnHour };
    t.equal(await store.spendAssertion('shop', assertion), true);
    t.equal(await store.spendAssertion('shop', assertion), false);
    t.equal(await store.spendAssertion('payments', assertion), true);
  });

  t.test('spent tokens are forgotten a minute after they would have expired', async (t) => {
    const { store, revoke, database, transact, moveTime, inAnHour } = await setUp(t);
    const sweep = (limit = 10) => transact((transaction) => store.sweep(transaction, limit));
    for (const jti of ['a', 'b', 'c']) await revoke(jti, 'shop');
    await revoke('later', 'shop', new Date(inAnHour.getTime() + 2 * MINUTE_MS));
    await moveTime(HOUR_MS);
    t.equal(await sweep(), 0);
    await moveTime(MINUTE_MS + 5_000);
    t.equal(await sweep(2), 2);
    t.equal(await sweep(2), 1);
    t.equal(await database.$count(spentTokens), 1);
  });
}

test('while one replica sweeps, no other one does, on a real server', async (t) => {
  const { database, transact } = await openPostgres();
  const store = createTokenStatusStore(database);
  const over = { jti: 'over', clientId: 'shop', expiresAt: new Date(Date.now() - HOUR_MS) };
  await transact((transaction) => store.revoke(transaction, over));
  const mine = await transact(async (transaction) => {
    const swept = await store.sweep(transaction, 10);
    t.equal(await transact((other) => store.sweep(other, 10)), 0);
    return swept;
  });
  t.equal(mine, 1);
});
