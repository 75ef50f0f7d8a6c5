import { domainToASCII, domainToUnicode } from 'node:url';
import fc from 'fast-check';
import { type Test, test } from 'tap';
import { parseEmailAddress } from '../../src/accounts/email-address.ts';

function canonicalOf(input: string): string | undefined {
  const parsed = parseEmailAddress(input);
  return 'canonical' in parsed ? parsed.canonical : undefined;
}

function refuses(t: Test, problem: RegExp, ...inputs: string[]): void {
  for (const input of inputs) t.match(parseEmailAddress(input), { problem }, JSON.stringify(input));
}

const label = fc
  .stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?$/)
  .filter((text) => !/^xn--/i.test(text));
const asciiAddress = fc
  .tuple(
    fc.stringMatching(/^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,12}(\.[a-zA-Z0-9+_-]{1,12}){0,3}$/),
    fc.array(label, { minLength: 1, maxLength: 4 }),
    fc.constantFrom('com', 'Example', 'co'),
  )
  .map(([local, labels, top]) => `${local}@${labels.join('.')}.${top}`);
/** Strings of the characters that matter, so that some of them are addresses and many are almost. */
const nearlyAddress = fc.string({
  unit: fc.constantFrom(
    ...'aZ0.@@-+_"() \t[]:%\\,xn',
    'é',
    'e\u0301',
    'ß',
    'İ',
    'ı',
    'Σ',
    'ς',
    'σ',
    'а',
    '。',
    '\u200b',
    '\0',
    '中',
    '\ud800',
  ),
  maxLength: 20,
});
const mostlyUnicode = fc
  .tuple(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
  )
  .map(([local, domain]) => `${local}@${domain}.example`);
const anything = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => `a${text}@example.com`),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => `a@x${text}.com`),
  mostlyUnicode,
  nearlyAddress,
  asciiAddress,
);
const MANY = { numRuns: 3000 };

test('lower-cases, trims, and keeps the address as it was typed', async (t) => {
  t.same(parseEmailAddress(' \t\u00a0Anna.Smith+Shop@Example.COM\r\n'), {
    canonical: 'anna.smith+shop@example.com',
    asTyped: 'Anna.Smith+Shop@Example.COM',
  });
});

test('keeps dots and plus tags apart', async (t) => {
  const addresses = ['anna@example.com', 'an.na@example.com', 'anna+x@example.com', 'anna@mail.example.com'];
  t.same(addresses.map(canonicalOf), addresses);
});

test('keeps every character that needs no quotes', async (t) => {
  const address = "!#$%&'*+-/=?^_`{|}~@example.com";
  t.equal(canonicalOf(address), address);
});

test('writes the domain in ASCII, and knows it when it is typed so', async (t) => {
  const expected = 'info@xn--bcher-kva.example';
  for (const domain of [
    'bücher.example',
    'BÜCHER.example',
    'bu\u0308cher.example',
    'XN--Bcher-KVA.example',
  ]) {
    t.equal(canonicalOf(`info@${domain}`), expected, domain);
  }
  t.equal(canonicalOf('info@中文.中国'), 'info@xn--fiq228c.xn--fiqs8s');
});

test('knows one mailbox in both Unicode forms and in all cases', async (t) => {
  for (const input of ['josé@example.com', 'JOSE\u0301@example.com', 'José@EXAMPLE.com']) {
    t.equal(canonicalOf(input), 'josé@example.com', input);
  }
  for (const input of ['γιάννης.παπ@example.gr', 'ΓΙΆΝΝΗΣ.ΠΑΠ@example.gr']) {
    t.equal(canonicalOf(input), 'γιάννης.παπ@example.gr', input);
  }
});

test('accepts letters of any one alphabet before the @', async (t) => {
  for (const address of [
    'иван@example.ru',
    'やまだ太郎@example.jp',
    'राम@example.in',
    'مثال@example.com',
    'иван+shop@example.ru',
  ]) {
    t.equal(canonicalOf(address), address);
  }
});

test('refuses nothing at all', async (t) => {
  refuses(t, /is empty/, '', ' ', '\u00a0\n');
});

test('refuses all but one @', async (t) => {
  refuses(
    t,
    /exactly one @/,
    'anna',
    'anna.example.com',
    'a@b@example.com',
    '@a@example.com',
    'a@@example.com',
  );
});

test('refuses empty parts', async (t) => {
  refuses(t, /nothing before the @/, '@example.com', '@');
  refuses(t, /nothing after the @/, 'anna@');
  refuses(t, /domain that is not valid/, 'a@.com', 'a@example..com', 'a@.example.com', 'a@.');
});

test('refuses misplaced dots', async (t) => {
  refuses(
    t,
    /misplaced dot/,
    '.anna@example.com',
    'anna.@example.com',
    'an..na@example.com',
    '.@example.com',
  );
  refuses(t, /domain that is not valid/, 'anna@example.com.');
});

test('refuses quoted local parts, comments, names and lists', async (t) => {
  refuses(t, /quoted/, '"anna"@example.com', '"an@na"@example.com', 'an\\na@example.com');
  refuses(t, /bare address/, 'anna(work)@example.com', 'anna@(work)example.com', '<anna@example.com>');
  refuses(t, /bare address/, 'a@example.com,b@example.com', 'a@example.com;b@example.com');
  refuses(t, /space/, 'Anna <anna@example.com>');
});

test('refuses spaces inside', async (t) => {
  refuses(
    t,
    /space/,
    'an na@example.com',
    'anna @example.com',
    'anna@ example.com',
    'an\u00a0na@example.com',
    'an\u3000na@example.com',
  );
});

test('refuses control and invisible characters', async (t) => {
  const invisible = [
    '\0',
    '\t',
    '\r\n',
    '\x7f',
    '\x85',
    '\u00ad',
    '\u034f',
    '\u061c',
    '\u115f',
    '\u17b4',
    '\u180e',
    '\u200b',
    '\u200c',
    '\u200d',
    '\u200e',
    '\u202e',
    '\u2060',
    '\u2066',
    '\u3164',
    '\ufe0f',
    '\ufeff',
    '\ufff9',
    '\ue000',
    '\uffff',
    '\u{e0041}',
    '\u{e0100}',
  ];
  for (const character of invisible)
    refuses(t, /invisible or control/, `an${character}na@example.com`, `anna@exa${character}mple.com`);
  refuses(t, /invisible or control/, '\0anna@example.com', 'anna@example.com\0', '\u200banna@example.com');
});

test('refuses lone surrogates', async (t) => {
  refuses(t, /invisible or control/, 'a\ud800@example.com', 'a@exa\udc00mple.com', '\udfffa@example.com');
});

test('refuses characters that stand for others', async (t) => {
  refuses(
    t,
    /special form of another/,
    'ａnna@example.com',
    'anna＠example.com',
    'ﬁona@example.com',
    'x²@example.com',
    'a@exa𝐦ple.com',
    'a@example．com',
  );
  refuses(t, /domain that is not valid/, 'a@例え。example.jp');
});

test('refuses what was typed with a character that stands for another, though NFC would hide it', async (t) => {
  refuses(
    t,
    /special form of another/,
    '\u212Aelvin@example.com', // kelvin sign
    'anna@\u212Aelvin.com',
    '\u212Bngstrom@example.com', // angstrom sign
    '\uf900@example.com', // compatibility ideograph
  );
});

test('refuses every character of Unicode that NFC changes, on both sides of the @', async (t) => {
  let changed = 0;
  for (let codePoint = 0; codePoint <= 0x10ffff; codePoint += 1) {
    const character = String.fromCodePoint(codePoint);
    if (character.normalize('NFC') === character) continue;
    changed += 1;
    for (const address of [`a${character}@example.com`, `a@x${character}.com`])
      if (canonicalOf(address) !== undefined) t.fail(`${codePoint.toString(16)} is accepted`);
  }
  t.ok(changed > 1000, 'there are such characters');
});

test('refuses letters whose case is not stable before the @', async (t) => {
  refuses(
    t,
    /before the @ that changes when it is made a capital/,
    'İnci@example.com',
    'i\u0307nci@example.com',
    'ınci@example.com',
    'straße@example.com',
    'οδοσ@example.com',
  );
});

test('takes a domain with such letters, and knows it in ASCII', async (t) => {
  for (const [domain, ascii] of [
    ['maßanfertigung.de', 'xn--maanfertigung-cdb.de'],
    ['MAẞANFERTIGUNG.de', 'xn--maanfertigung-cdb.de'],
    ['ıstanbul.com', 'xn--stanbul-qfb.com'],
    ['ᏣᎳᎩ.example', 'xn--f9dt7l.example'],
    ['ꮳꮃꭹ.example', 'xn--f9dt7l.example'],
    ['οδος.gr', 'xn--pxavbm.gr'],
    ['οδοσ.gr', 'xn--pxavbq.gr'],
  ] as const) {
    for (const typed of [domain, ascii, ascii.toUpperCase()])
      t.equal(canonicalOf(`max@${typed}`), `max@${ascii}`, typed);
  }
});

test('refuses capitals that make two domains, and says to type small letters', async (t) => {
  refuses(
    t,
    /capital letter in its domain .*type the domain in small letters/,
    'a@ΟΔΟΣ.gr',
    'a@shop.ΟΔΟΣ.gr',
  );
});

test('refuses a domain in ASCII for the letters that it stands for', async (t) => {
  refuses(t, /alphabets/, 'a@\u0430pple.com', 'a@xn--pple-43d.com');
  refuses(t, /invisible/, 'a@نامه\u200cای.com', 'a@xn--mgba3gch31f060k.com');
});

test('a domain in letters and the same domain in ASCII are one, or both are refused', async (t) => {
  let accepted = 0;
  const isOne = (unicode: string) => {
    const [inLetters, inAscii] = [unicode, domainToASCII(unicode)].map((domain) =>
      canonicalOf(`a@${domain}`),
    );
    if (inLetters !== undefined) accepted += 1;
    return inLetters === inAscii;
  };
  for (let codePoint = 0x80; codePoint <= 0x10ffff; codePoint += 1) {
    const unicode = domainToUnicode(domainToASCII(`x${String.fromCodePoint(codePoint)}y.example`));
    if (unicode !== '' && !isOne(unicode)) t.fail(`${codePoint.toString(16)}: ${unicode}`);
  }
  const label = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(label, (text) => {
      const unicode = domainToUnicode(domainToASCII(`${text}.example`));
      return unicode === '' || isOne(unicode);
    }),
    MANY,
  );
  t.ok(accepted > 10_000, 'enough domains were among them');
});

test('refuses words of look-alike letters', async (t) => {
  refuses(t, /alphabets/, '\u0430dmin@example.com', 'a@\u0430pple.com', 'gοοgle@example.com');
});

test('refuses symbols and marks on nothing before the @', async (t) => {
  refuses(
    t,
    /not allowed before the @/,
    '🦊@example.com',
    'a:b@example.com',
    '[a]@example.com',
    '\u0301a@example.com',
    'a.\u0301@example.com',
    'a«@example.com',
  );
});

test('refuses IP addresses and numbers for a domain', async (t) => {
  refuses(t, /not an IP address/, 'a@[127.0.0.1]', 'a@[IPv6:::1]', 'a@[::1]');
  refuses(t, /ends in a number/, 'a@127.0.0.1', 'a@2130706433', 'a@example.1', 'a@0');
  refuses(t, /domain that is not valid/, 'a@0x7f.0.0.0x1', 'a@example.0x1');
});

test('refuses a domain of one label', async (t) => {
  refuses(t, /full domain/, 'root@localhost', 'a@com');
});

test('refuses domains that are read differently by different programs', async (t) => {
  const domains = [
    'ex%61mple.com',
    'example.com/x',
    'example.com:25',
    'exa_mple.com',
    '-a.com',
    'a-.com',
    'a.-b',
    'a?.com',
    'a#b.com',
  ];
  refuses(t, /domain that is not valid/, ...domains.map((domain) => `a@${domain}`));
});

test('refuses punycode that decodes to nothing', async (t) => {
  const domains = ['xn--a.com', 'xn--a-.com', 'xn--.com', 'mail.xn--ab-yuc.com', 'xn--xn---epa.com'];
  refuses(t, /domain that is not valid/, ...domains.map((domain) => `a@${domain}`));
});

test('holds the limits of RFC 5321', async (t) => {
  const long = (length: number) => `${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(length - 132)}.com`;
  t.ok(canonicalOf(`${'a'.repeat(64)}@example.com`));
  refuses(t, /64 bytes/, `${'a'.repeat(65)}@example.com`, `${'é'.repeat(33)}@example.com`);
  t.ok(canonicalOf(`${'é'.repeat(32)}@example.com`));
  t.ok(canonicalOf(`a@${'b'.repeat(63)}.com`));
  refuses(t, /domain that is not valid/, `a@${'b'.repeat(64)}.com`, `a@${'é'.repeat(60)}.com`);
  t.equal(canonicalOf(`${'a'.repeat(64)}@${long(189)}`)?.length, 254);
  refuses(t, /254 bytes/, `${'a'.repeat(64)}@${long(190)}`);
  refuses(t, /too long/, `${'a'.repeat(100_000)}@example.com`, '@'.repeat(100_000));
});

test('any ordinary address is its lower-cased self', async () => {
  fc.assert(fc.property(asciiAddress, (input) => canonicalOf(input) === input.toLowerCase()));
});

test('answers for every string, within the limits, without capitals', async (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(anything, (input) => {
      const canonical = canonicalOf(input);
      if (canonical === undefined) return;
      accepted += 1;
      const [local = '', domain = ''] = canonical.split('@');
      t.ok(Buffer.byteLength(canonical) <= 254 && Buffer.byteLength(local) <= 64, canonical);
      t.ok(canonical.isWellFormed() && canonical.normalize('NFKC') === canonical, canonical);
      t.match(domain, /^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
      t.notMatch(canonical, /[A-Z\s\0]/);
    }),
    MANY,
  );
  t.ok(accepted > 300, 'enough addresses were among them');
});

test('the canonical form is its own canonical form', async () => {
  fc.assert(
    fc.property(anything, (input) => {
      const canonical = canonicalOf(input);
      return canonical === undefined || canonicalOf(canonical) === canonical;
    }),
    MANY,
  );
});

test('what is typed around, or composed otherwise, makes no difference', async () => {
  fc.assert(
    fc.property(anything, (input) => {
      const canonical = canonicalOf(input);
      if (canonicalOf(` ${input}\n`) !== canonical) return false;
      // A refused one may be accepted afterwards: without the character that stood for another.
      return (
        canonical === undefined ||
        [input.normalize('NFD'), input.normalize('NFC')].every((same) => canonicalOf(same) === canonical)
      );
    }),
    MANY,
  );
});

test('a small letter that is one character with its marks, and a capital that is several, make no difference', async (t) => {
  for (const letter of ['\u0390', '\u03b0', '\u1fe2', '\u1f56'])
    for (const capital of [letter.toUpperCase(), letter.toUpperCase().normalize('NFC')]) {
      t.not(capital, letter);
      t.equal(canonicalOf(`a@${capital}.example`), canonicalOf(`a@${letter}.example`));
      t.equal(canonicalOf(`${capital}@example.com`), canonicalOf(`${letter}@example.com`));
    }
});

test('case makes no difference to an accepted address', async (t) => {
  // A capital ß is SS, which is another domain, so letters of a domain keep their case if they change by it.
  const capitals = (domain: string) =>
    domain.replace(/./gsu, (letter) =>
      letter.toUpperCase().toLowerCase() === letter ? letter.toUpperCase() : letter,
    );
  let ambiguous = 0;
  fc.assert(
    fc.property(anything, (input) => {
      const parsed = parseEmailAddress(input);
      if ('problem' in parsed) return true;
      const [local = '', domain = ''] = parsed.asTyped.split('@');
      const upper = parseEmailAddress(`${local.toUpperCase()}@${capitals(domain)}`);
      if ('problem' in upper && /small letters/.test(upper.problem)) ambiguous += 1;
      else if (!('canonical' in upper) || upper.canonical !== parsed.canonical) return false;
      return canonicalOf(`${local.toLowerCase()}@${domain}`) === parsed.canonical;
    }),
    MANY,
  );
  t.ok(ambiguous < 10, 'few domains have no capitals');
});

test('the address as typed leads to the same account', async () => {
  fc.assert(
    fc.property(anything, (input) => {
      const parsed = parseEmailAddress(input);
      return (
        'problem' in parsed ||
        (parsed.asTyped === input.trim() && canonicalOf(parsed.asTyped) === parsed.canonical)
      );
    }),
    MANY,
  );
});
