import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'tap';
import { tryLock } from '../../src/db/locks.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { auditEvents, oneTimeCodes, revocations, sessions, users } from '../../src/db/schema.ts';
import type { Mail } from '../../src/mail/mail.ts';
import { openAccountRoom } from '../support/account-room.ts';

const DAY_MS = 24 * 3_600_000;
const DELAY_MS = 7 * DAY_MS;
const WITH_DELAY = { config: { ACCOUNT_DELETION_DELAY: DELAY_MS } };

type Room = Awaited<ReturnType<typeof openAccountRoom>>;

type Member = Awaited<ReturnType<Room['signUp']>>;

const ask = ({ accounts, device }: Room, { session, password }: Pick<Member, 'session' | 'password'>) =>
  accounts.deletions.delete(session, password, device);

async function signInAgain({ accounts, sessions, visitor }: Room, { user, password }: Member) {
  const { session } = await accounts.service.signIn({ email: user.email, password }, visitor);
  const found = await sessions.find(session.generateToken, visitor.device.ip);
  if (found === null) throw new Error('the new session is not there');
  return { session: found, password };
}

const sweep = ({ accounts, transact }: Room, limit = 1_000) =>
  transact((transaction) => accounts.deletions.sweep(transaction, limit));

const mailsOf = ({ posted }: Room) => posted.filter((one): one is Mail => 'template' in one);

const userIds = async ({ database }: Room) => (await database.select().from(users)).map(({ id }) => id);

test('the owner of a deleted account is told by mail, after all other mails of theirs are withdrawn', async (t) => {
  const room = await openAccountRoom(t);
  const member = await room.signUp();
  await room.accounts.profiles.change(member.session, { locale: 'de' }, room.device);
  room.posted.length = 0;
  t.equal(await ask(room, member), null);
  const { id: userId, email: to } = member.user;
  t.strictSame(room.posted, [
    { withdrawn: userId },
    { template: 'account_deleted', userId, to, locale: 'de', data: {} },
  ]);
});

test('an account that was deleted a moment ago is not deleted again', async (t) => {
  const room = await openAccountRoom(t);
  const { session } = await room.signUp();
  await room.database.delete(users);
  room.posted.length = 0;
  const again = room.accounts.deletions.delete(session, undefined, room.device);
  await t.rejects(again, { code: 'not_signed_in' });
  t.same(room.posted, []);
});

test('a session that has ended while it asked deletes nothing', async (t) => {
  for (const options of [{}, WITH_DELAY]) {
    const room = await openAccountRoom(t, options);
    const member = await room.signUp();
    await room.sessions.endOthers(member.user.id, null, 'password_reset');
    room.posted.length = 0;
    await t.rejects(ask(room, member), { code: 'not_signed_in' });
    t.equal((await room.accounts.profiles.get(member.user.id)).deletionDueAt, null);
    t.same(room.posted, []);
  }
});

test('more sessions than end in one transaction end all the same, whichever of them asks', async (t) => {
  const room = await openAccountRoom(t);
  const member = await room.signUp();
  const until = new Date(Date.now() + DAY_MS);
  const row = { userId: member.user.id, expiresAt: until, idleExpiresAt: until };
  const other = () => ({ ...row, id: randomUUID(), generateToken: randomBytes(32) });
  await room.database.insert(sessions).values(Array.from({ length: 1_100 }, other));
  t.equal(await ask(room, member), null);
  t.same(await userIds(room), []);
});

test('a deletion that waits is told by mail with a code that undoes it, once', async (t) => {
  const room = await openAccountRoom(t, WITH_DELAY);
  const member = await room.signUp();
  room.posted.length = 0;
  const dueAt = await ask(room, member);
  const [mail, ...others] = mailsOf(room) as Mail<'deletion_asked'>[];
  t.same(others, []);
  t.match(mail, { template: 'deletion_asked', userId: member.user.id, to: member.user.email });
  const { link, goodForMs, dueAt: toldDueAt } = mail?.data ?? {};
  t.equal(goodForMs, DELAY_MS);
  t.same(toldDueAt, dueAt);
  t.same(await ask(room, await signInAgain(room, member)), dueAt);
  t.equal(mailsOf(room).filter(({ template }) => template === 'deletion_asked').length, 1);

  await room.accounts.deletions.undoByCode({ link: String(link) }, room.device);
  t.equal((await room.accounts.profiles.get(member.user.id)).deletionDueAt, null);
  const codes = await room.database.select().from(oneTimeCodes);
  t.not(codes.find(({ purpose }) => purpose === 'undo_deletion')?.spentAt, null);
  await t.rejects(room.accounts.deletions.undoByCode({ link: String(link) }, room.device), {
    code: 'invalid_code',
  });
  const events = (await room.database.select().from(auditEvents)).filter(({ kind }) =>
    kind.startsWith('account.deletion'),
  );
  const { id } = member.user;
  t.match(events, [
    {
      kind: 'account.deletion_asked',
      userId: id,
      actorId: id,
      sessionId: member.session.id,
      ip: room.device.ip,
    },
    { kind: 'account.deletion_undone', userId: id, actorId: null, ip: room.device.ip },
  ]);
});

test('without mails the account waits all the same, and no code is made', async (t) => {
  const room = await openAccountRoom(t, { ...WITH_DELAY, mailIsOn: false });
  const member = await room.signUp();
  t.ok((await ask(room, member)) instanceof Date);
  t.same(await room.database.select().from(oneTimeCodes), []);
});

test('the typed code undoes it as well, as long as the account is there', async (t) => {
  const room = await openAccountRoom(t, WITH_DELAY);
  const member = await room.signUp();
  await ask(room, member);
  const mail = mailsOf(room).at(-1) as Mail<'deletion_asked'>;
  const typed = { email: member.user.email, typed: String(mail.data.code) };
  await room.passTime(DELAY_MS - 60_000);
  await room.accounts.deletions.undoByCode(typed, room.device);
  await room.passTime(DAY_MS);
  t.equal(await sweep(room), 0);
  t.same(await userIds(room), [member.user.id]);
});

test('after its time an account is deleted by one replica, with its sessions, and its owner is told', async (t) => {
  const room = await openAccountRoom(t, WITH_DELAY);
  const [member, bystander, late] = [await room.signUp(), await room.signUp(), await room.signUp()];
  await ask(room, member);
  const credentials = { email: member.user.email, password: member.password };
  const { session } = await room.accounts.service.signIn(credentials, room.visitor);
  await room.passTime(DELAY_MS - 60_000);
  await ask(room, late);
  t.equal(await sweep(room), 0);
  await room.passTime(120_000);
  room.posted.length = 0;
  const swept = await Promise.all([sweep(room), sweep(room)]);
  t.equal(swept[0] + swept[1], 1);
  t.same((await userIds(room)).sort(), [bystander.user.id, late.user.id].sort());
  t.equal(await room.sessions.find(session.generateToken, room.device.ip), null);
  t.ok(await room.sessions.find(bystander.generateToken, room.device.ip));
  t.match(room.posted, [
    { withdrawn: member.user.id },
    { template: 'account_deleted', to: member.user.email },
  ]);
  const [deleted] = (await room.database.select().from(auditEvents)).filter(
    ({ kind }) => kind === 'account.deleted',
  );
  t.match(deleted, { userId: member.user.id, actorId: null, ip: null, details: null });
});

test('tokens are void when a deletion is asked, and again when it is done, for services that follow the feed', async (t) => {
  const room = await openAccountRoom(t, WITH_DELAY);
  const member = await room.signUp();
  const takeNotes = async () => {
    const notes = await room.database.delete(revocations).returning();
    return notes.map(({ kind, subject, value }) => [kind, subject.toString('hex'), value]);
  };
  const idOf = (id: string) => hashOfId(id).toString('hex');
  await ask(room, member);
  const user = ['user', idOf(member.user.id)];
  t.strictSame(await takeNotes(), [
    ['session', idOf(member.session.id), null],
    [...user, 2],
  ]);
  const again = await signInAgain(room, member);
  t.equal(again.session.claims.cv, 2);
  await room.passTime(DELAY_MS + 60_000);
  await sweep(room);
  t.strictSame(await takeNotes(), [
    ['session', idOf(again.session.id), null],
    [...user, 3],
  ]);
});

test('many accounts whose time has come go in small batches, and the sweep is asked to go on', async (t) => {
  const room = await openAccountRoom(t, WITH_DELAY);
  const ids = Array.from({ length: 13 }, () => `${randomBytes(6).toString('hex')}@example.com`);
  await room.database.insert(users).values(
    ids.map((email) => ({
      id: crypto.randomUUID(),
      email,
      emailAsTyped: email,
      deletionDueAt: new Date(Date.now() - 1_000),
    })),
  );
  t.equal(await sweep(room, 500), 500);
  t.equal(await room.database.$count(users), 3);
  t.equal(await sweep(room, 500), 3);
  t.equal(await room.database.$count(users), 0);
  t.equal(await sweep(room, 500), 0);
});

test('while a replica deletes accounts, no other one does', async (t) => {
  const room = await openAccountRoom(t, WITH_DELAY);
  await ask(room, await room.signUp());
  await room.passTime(DELAY_MS + 60_000);
  await room.transact(async (other) => {
    await tryLock(other, 'deleteAccounts');
    t.equal(await sweep(room), 0);
  });
  t.equal(await sweep(room), 1);
});
