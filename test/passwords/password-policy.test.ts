import fc from 'fast-check';
import { test } from 'tap';
import { checkPassword, normalizePassword } from '../../src/passwords/password-policy.ts';

const POLICY = { minLength: 8, email: 'anna.smith99@shop.example.com' };

function isFine(password: string, policy = POLICY): boolean {
  return checkPassword(password, policy).length === 0;
}

test('accepts a password that is long enough, whatever it is made of', async (t) => {
  for (const password of ['korwanty', '94817320', 'ǫ€ß∂ƒ©˙∆', '        ', 'пароль-мой', '🦊🦊🦊🦊🦊🦊🦊🦊']) {
    t.same(checkPassword(password, POLICY), [], password);
  }
});

test('counts code points, after normalising', async (t) => {
  t.ok(isFine('🦊'.repeat(8)));
  t.notOk(isFine('🦊'.repeat(7)));
  t.ok(isFine('🦊'.repeat(256)));
  t.notOk(isFine('🦊'.repeat(257)));
  t.notOk(isFine('é'.repeat(7).normalize('NFD')));
  t.ok(isFine('é'.repeat(256).normalize('NFD')));
});

test('the shortest length is a setting', async (t) => {
  const policy = { ...POLICY, minLength: 15 };
  t.same(checkPassword('korwanty-plimo', policy), ['Use at least 15 characters.']);
  t.same(checkPassword('korwanty-plimox', policy), []);
  t.same(checkPassword('x'.repeat(257), policy), ['Use at most 256 characters.']);
});

test('refuses a common password in any case and width', async (t) => {
  for (const password of ['password', 'PassWord', '12345678', 'qwertyuiop', 'ｐａｓｓｗｏｒｄ']) {
    t.same(checkPassword(password, POLICY), ['Too many people use this password. Choose another.'], password);
  }
});

test('accepts a longer password that contains a common one', async (t) => {
  t.ok(isFine('password for the green boat'));
});

test('refuses what the address is made of, however it is decorated', async (t) => {
  const refused = [
    'anna.smith99@shop.example.com',
    'ANNA.SMITH99@shop.example.com',
    'anna.smith99',
    'anna.smith',
    'Anna.Smith2024!',
    'smith1234',
    '!!Smith!!',
    '2024-anna',
    'shop.example.com',
    'shop.example',
    'example1',
    'Shop2024',
    'ｓｍｉｔｈ９９９',
  ];
  for (const password of refused) {
    t.same(
      checkPassword(password, POLICY),
      ['This password is a part of your e-mail address. Choose another.'],
      password,
    );
  }
});

test('refuses a local part of digits alone', async (t) => {
  const policy = { ...POLICY, email: '4915771234@example.com' };
  t.notOk(isFine('4915771234', policy));
  t.ok(isFine('4915771235', policy));
});

test('accepts a phrase that only contains a word of the address', async (t) => {
  for (const password of ['smith and the whale', 'anna likes example 7', 'smithereens', 'xsmithx1']) {
    t.ok(isFine(password), password);
  }
});

test('short words of the address, such as a top label, forbid nothing', async (t) => {
  t.ok(isFine('com-83920571'));
  t.ok(isFine('x-83920571-', { ...POLICY, email: 'x@example.com' }));
});

test('refuses a character that is assigned to nothing yet', async (t) => {
  t.same(checkPassword('korwanty\u{e0fff}', POLICY), [
    'It has a character that this server does not know. Leave it out.',
  ]);
});

test('one password on all keyboards: composed and decomposed are the same', async (t) => {
  t.equal(normalizePassword('e\u0301'), '\u00e9');
  t.not(normalizePassword('x²'), normalizePassword('x2'));
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (password) => {
      const normalized = normalizePassword(password);
      return (
        normalizePassword(normalized) === normalized &&
        normalizePassword(password.normalize('NFD')) === normalized
      );
    }),
  );
});

test('judges every string and every address without failing, and alike in both forms', async (t) => {
  const anything = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 300 }));
  fc.assert(
    fc.property(anything, anything, (password, email) => {
      const problems = checkPassword(password, { minLength: 8, email });
      t.same(checkPassword(password.normalize('NFD'), { minLength: 8, email }), problems);
      return problems.every((problem) => problem.endsWith('.'));
    }),
  );
  t.notOk(isFine('\ud800'));
  t.ok(isFine('korwanty\ud800\0'), 'refused by the schema, not here');
});

test('refuses every decoration of every word of the address', async () => {
  const word = fc.string({
    unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz'),
    minLength: 4,
    maxLength: 12,
  });
  const decoration = fc.string({ unit: fc.constantFrom(...'0123456789!.-_# '), minLength: 4, maxLength: 8 });
  fc.assert(
    fc.property(word, word, decoration, decoration, (local, other, before, after) => {
      const policy = { minLength: 8, email: `${local}.x@${other}.example` };
      return (
        !isFine(`${before}${local}${after}`, policy) &&
        !isFine(`${before}${other.toUpperCase()}${after}`, policy)
      );
    }),
  );
});

test('long garbage is judged quickly', async (t) => {
  t.notOk(isFine('1'.repeat(1_000_000)));
});
