import { test } from 'tap';
import type { FoundAccount } from '../../src/accounts/account-store.ts';
import { createMissingPasswords } from '../../src/accounts/missing-password.ts';

type Changes = Partial<Parameters<typeof createMissingPasswords>[0]>;

function setUp(changes: Changes = {}) {
  const sent: unknown[] = [];
  const errors: unknown[] = [];
  const missing = createMissingPasswords({
    mailLimit: { take: async () => {}, tryTake: async (email) => !email.startsWith('often') },
    sendCode: async (wish) => void sent.push(wish),
    mailIsOn: true,
    onError: (error) => void errors.push(error),
    ...changes,
  });
  return { missing, sent, errors };
}

const account = (email: string, changes: object = {}) =>
  ({ email, status: 'active', passwordHash: null, ...changes }) as FoundAccount;

test('the owner of an account without a password gets a mail, later, and one for many tries', async (t) => {
  const { missing, sent } = setUp();
  for (const languages of ['de', 'fr']) missing.note(account('a@example.com'), languages);
  t.same(sent, []);
  await missing.flush();
  await missing.flush();
  t.same(sent, [{ email: 'a@example.com', languages: 'fr' }]);
});

test('nobody else gets one', async (t) => {
  const { missing, sent } = setUp();
  missing.note(null, null);
  missing.note(account('a@example.com', { passwordHash: '$2b$' }), null);
  missing.note(account('b@example.com', { status: 'banned' }), null);
  missing.note(account('often@example.com'), null);
  await missing.flush();
  t.same(sent, []);
  const off = setUp({ mailIsOn: false });
  off.missing.note(account('a@example.com'), null);
  await off.missing.flush();
  t.same(off.sent, []);
});

test('a mail that cannot be written is told, and keeps no other one back', async (t) => {
  const { missing, errors, sent } = setUp({
    mailLimit: {
      take: async () => {},
      tryTake: async (email) => {
        if (email.startsWith('bad')) throw new Error('down');
        return true;
      },
    },
  });
  for (const name of ['bad', 'good']) missing.note(account(`${name}@example.com`), null);
  await missing.flush();
  t.match(errors, [{ message: 'down' }]);
  t.match(sent, [{ email: 'good@example.com' }]);
});

test('no more than a thousand wait', async (t) => {
  const { missing, sent } = setUp();
  for (let at = 0; at < 1_005; at += 1) missing.note(account(`${at}@example.com`), null);
  await missing.flush();
  t.equal(sent.length, 1_000);
});
