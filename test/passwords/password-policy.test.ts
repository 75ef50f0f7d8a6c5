import fc from 'fast-check';
import { type Test, test } from 'tap';
import { isCommonPassword } from '../../src/passwords/common-passwords.ts';
import {
  checkPassword,
  formerForm,
  normalizePassword,
  type PasswordPolicy,
} from '../../src/passwords/password-policy.ts';
import { createWordList } from '../../src/passwords/word-list.ts';

const POLICY: PasswordPolicy = {
  minLength: 8,
  serviceNames: createWordList(['doorward', 'auth.club-one.example']),
  blockedWords: createWordList([]),
  isCommon: isCommonPassword,
};
const EMAIL = 'anna.smith99@shop.example.com';
const COMMON = 'Too many people use this password. Choose another.';
const REPEATS = 'This password repeats a short text. Choose another.';
const RUNS = 'This password is a sequence of letters, digits or keys. Choose another.';
const SERVICE = 'This password is the name of this service. Choose another.';
const ADDRESS = 'This password is a part of your e-mail address. Choose another.';

function check(password: string, email = EMAIL, changes: Partial<PasswordPolicy> = {}): string[] {
  return checkPassword(password, email, { ...POLICY, ...changes });
}

function isFine(password: string, email = EMAIL): boolean {
  return check(password, email).length === 0;
}

function refuses(t: Test, problem: string, passwords: string[], changes: Partial<PasswordPolicy> = {}): void {
  for (const password of passwords)
    t.same(check(password, EMAIL, changes), [problem], JSON.stringify(password));
}

/** That many different characters, outside the Basic Multilingual Plane. */
function emoji(count: number): string {
  return Array.from({ length: count }, (_, at) => String.fromCodePoint(0x1f300 + ((at * 7) % 257))).join('');
}

test('accepts a password that is long enough, whatever it is made of', async (t) => {
  for (const password of ['korwanty', '94817320', 'ǫ€ß∂ƒ©˙∆', 'пароль-мой', emoji(8)]) {
    t.same(check(password), [], password);
  }
});

test('counts code points, after normalising', async (t) => {
  t.ok(isFine(emoji(8)));
  t.same(check(emoji(7)), ['Use at least 8 characters.']);
  t.ok(isFine(emoji(256)));
  t.same(check(emoji(257)), ['Use at most 256 characters.']);
  t.notOk(isFine('áéíóúàè'.normalize('NFD')));
  t.ok(isFine(`${emoji(8)}${'áéíóúàèü'.repeat(31)}`.normalize('NFD')));
});

test('the shortest length is a setting', async (t) => {
  refuses(t, 'Use at least 15 characters.', ['korwanty-plimo'], { minLength: 15 });
  t.same(check('korwanty-plimox', EMAIL, { minLength: 15 }), []);
  refuses(t, 'Use at most 256 characters.', ['x'.repeat(257)], { minLength: 15 });
});

test('refuses a common password in any case and width', async (t) => {
  refuses(t, COMMON, ['password', 'PassWord', '12345678', 'qwertyuiop', 'ｐａｓｓｗｏｒｄ', 'Password1']);
});

test('has common passwords for every minimum length', async (t) => {
  const long = ['thisismypassword', 'passwordstandard', 'mychemicalromance', 'neversaymypassword'];
  refuses(t, COMMON, long, { minLength: 15 });
});

test('refuses a repeated text, unless it is a good password by itself', async (t) => {
  refuses(t, REPEATS, [
    '!!!!!!!!',
    'xk4xk4xk4',
    'xk4!xk4!x',
    '🦊'.repeat(8),
    'áéáéáéáé',
    ' '.repeat(8),
    '        \u00a0',
  ]);
  refuses(t, COMMON, ['passwordpassword', 'PasswordPasswordPass', 'dragon'.repeat(3)].slice(0, 2));
  refuses(t, REPEATS, ['korwanty'.repeat(2), 'korwanty'.repeat(3)], { minLength: 15 });
  t.ok(isFine('korwanty'.repeat(2)));
});

test('refuses what a user is known to try first', async (t) => {
  for (const password of [
    '987654321',
    '00000000',
    'aaaaaaaa',
    '        ',
    '\u3000'.repeat(8),
    'aaaaaaaaaaaaaaaa',
  ])
    t.notOk(isFine(password), JSON.stringify(password));
  const atLeast15 = [
    '123456789012345',
    'qwertyuiopasdfg',
    'passwordpassword',
    'abcdefghijklmnop',
    '1qaz2wsx3edc4rfv',
  ];
  for (const password of atLeast15) t.not(check(password, EMAIL, { minLength: 15 }).length, 0, password);
});

test('refuses sequences and rows, columns and corners of a keyboard', async (t) => {
  const runs = [
    ...['hgfedcba', 'stuvwxyz', 'mnopqrstuvw', '3456789012', 'defg5432', 'wxyzwxy9876'],
    ...['poiuytrewq', ';lkjhgfdsa', 'zxcvbnm,./', 'asdf;lkj', '5tgb6yhn7ujm', 'wsxedcrfvtgb'],
    ...['qwertzuiopü', 'yxcvbnm,.-', 'asdfghjklöä', 'azertyuiopqsdf', 'qsdfghjklm', 'wxcvbn,;:'],
    ...['йцукенгшщ', 'фывапролд', 'абвгдежз', 'ASDF;LKJ', '7894561230', 'k1l2m3n4o5', '0p9o8i7u'],
    ...['aaaabbbbcccc', '4444xxxx', 'ooooooop'],
  ];
  for (const password of runs) t.match(check(password), [/sequence|Too many people/], password);
  refuses(t, RUNS, ['hgfedcba', ';lkjhgfdsa', 'qsdfghjklm', 'k1l2m3n4o5', 'фывапролд', '4444xxxx']);
});

test('accepts words and digits that have only short runs in them', async (t) => {
  for (const password of [
    'property',
    'redefining',
    '31415926',
    'abc korwanty',
    'qwerty korwanty',
    'fedora hijack',
  ])
    t.ok(!check(password).includes(RUNS), password);
  const random = fc.string({
    unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789'),
    minLength: 12,
    maxLength: 40,
  });
  let refused = 0;
  fc.assert(
    fc.property(random, (password) => {
      refused += check(password).length;
    }),
    { numRuns: 3000 },
  );
  t.ok(refused < 5, `${refused} of 3000`);
});

test('refuses every repetition and every run, however long', async () => {
  // A ligature may be many letters in the form that is compared.
  const text = fc
    .string({ unit: 'grapheme-composite', minLength: 1, maxLength: 7 })
    .filter((part) => part.normalize('NFKC').length < 8);
  fc.assert(fc.property(text, fc.integer({ min: 8, max: 20 }), (part, times) => !isFine(part.repeat(times))));
  const start = fc.integer({ min: 0, max: 12 });
  const alphabet = 'abcdefghijklmnopqrstuvwxyz';
  fc.assert(
    fc.property(start, fc.integer({ min: 8, max: 13 }), (from, length) => {
      const run = alphabet.slice(from, from + length);
      return !isFine(run) && !isFine(Array.from(run.toUpperCase()).reverse().join(''));
    }),
  );
});

test("refuses the service's own name and host, however they are decorated", async (t) => {
  const names = ['doorward', 'Doorward', 'DoorWard2024!', '!!doorward!!', 'doorwarddoorward'];
  const hosts = ['auth.club-one.example', 'club-one.example', 'club-one', 'Club-One2024', 'auth.club-one'];
  refuses(t, SERVICE, [...names, ...hosts]);
  t.ok(isFine('doorward for the club'));
  const serviceNames = createWordList(['auth.xn--bcherwurm-q9a.example']);
  refuses(t, SERVICE, ['Bücherwurm', 'xn--bcherwurm-q9a'], { serviceNames });
});

test('refuses the words of an operator, however they are decorated', async (t) => {
  const blockedWords = createWordList(['Clubhaus', 'summer party', 'ＡＣＭＥ.example']);
  const BLOCKED = 'This service does not allow this password. Choose another.';
  const decorated = ['clubhaus', 'CLUBHAUS', '!Clubhaus2026!', 'clubhausclubhaus'];
  refuses(t, BLOCKED, [...decorated, 'summer party', 'Party2026', '2026acme'], { blockedWords });
  t.same(check('clubhaus on the lake', EMAIL, { blockedWords }), []);
});

test('compares a password with 100,000 words in less than 5 ms', async (t) => {
  const blockedWords = createWordList(Array.from({ length: 100_000 }, (_, at) => `word${at}`));
  const startedAt = performance.now();
  for (let i = 0; i < 20; i += 1) check(`a password no. ${i}`, EMAIL, { blockedWords });
  t.ok((performance.now() - startedAt) / 20 < 5);
});

test('maps every space outside ASCII to the plain one', async (t) => {
  for (const space of ['\u00a0', '\u1680', '\u2003', '\u2007', '\u202f', '\u205f', '\u3000']) {
    t.equal(normalizePassword(`kor${space}wanty`), 'kor wanty', space);
    t.same(check(`kor${space}wanty`), []);
    t.equal(formerForm(`kor${space}wanty`), `kor${space}wanty`);
  }
  t.equal(formerForm('kor wanty'), null);
  t.equal(formerForm('e\u0301'), null);
  refuses(t, COMMON, ['pass\u00a0word'.replace('\u00a0', '')]);
});

test('refuses controls and characters without width, and judges what is left', async (t) => {
  for (const [character, name] of [
    ['\t', 'U+0009'],
    ['\n', 'U+000A'],
    ['\x7f', 'U+007F'],
    ['\u00ad', 'U+00AD'],
    ['\u200b', 'U+200B'],
    ['\u200d', 'U+200D'],
    ['\u2028', 'U+2028'],
    ['\u202e', 'U+202E'],
    ['\ufe0f', 'U+FE0F'],
    ['\ufeff', 'U+FEFF'],
    ['\u{e0041}', 'U+E0041'],
  ] as const) {
    const invisible = `It has an invisible or control character (${name}). Leave it out.`;
    t.same(check(`kor${character}wanty`), [invisible], name);
    t.same(check(`pass${character}word`), [invisible, COMMON]);
    t.same(check(`${character}korwant`), [invisible, 'Use at least 8 characters.']);
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
  refuses(t, ADDRESS, refused);
});

test('refuses a local part of digits alone', async (t) => {
  t.notOk(isFine('4915771234', '4915771234@example.com'));
  t.ok(isFine('4915771235', '4915771234@example.com'));
});

test('accepts a phrase that only contains a word of the address', async (t) => {
  for (const password of ['smith and the whale', 'anna likes example 7', 'smithereens', 'xsmithx1']) {
    t.ok(isFine(password), password);
  }
});

test('short words of the address, such as a top label, forbid nothing', async (t) => {
  t.ok(isFine('com-83920571'));
  t.ok(isFine('x-83920571-', 'x@example.com'));
});

test('refuses a character that is assigned to nothing yet', async (t) => {
  refuses(t, 'It has a character that this server does not know. Leave it out.', ['korwanty\u{50000}']);
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
      const problems = check(password, email);
      t.same(check(password.normalize('NFD'), email), problems);
      return problems.every((problem) => problem.endsWith('.'));
    }),
  );
  t.notOk(isFine('\ud800'));
  t.ok(isFine('korwanty\ud800'), 'refused by the schema, not here');
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
      const email = `${local}.x@${other}.example`;
      return (
        !isFine(`${before}${local}${after}`, email) &&
        !isFine(`${before}${other.toUpperCase()}${after}`, email)
      );
    }),
  );
});

test('long garbage is judged quickly', async (t) => {
  t.notOk(isFine('1'.repeat(1_000_000)));
});
