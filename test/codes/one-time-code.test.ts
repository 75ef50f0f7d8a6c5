import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import {
  createLinkCode,
  createTypedCode,
  hashLinkCode,
  hashTypedCode,
  isLinkCode,
  isTypedCode,
  normalizeTypedCode,
} from '../../src/codes/one-time-code.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

const letter = fc.constantFrom(...ALPHABET);
const typedCode = fc.string({ unit: letter, minLength: 8, maxLength: 8 });

/** The same code as people may type it. */
const asTyped = (code: string) =>
  fc
    .tuple(...Array.from(code, (one) => fc.tuple(variantsOf(one), separator)))
    .map((parts) => parts.flat().join(''));

const separator = fc.constantFrom('', '', ' ', '-', '–', '—', ' - ', '\t', '\u00a0');

function variantsOf(one: string): fc.Arbitrary<string> {
  const alike = { '0': ['0', 'o', 'O'], '1': ['1', 'i', 'I', 'l', 'L'] }[one];
  return fc.constantFrom(...(alike ?? [one, one.toLowerCase()]));
}

test('a code for a link is 256 random bits, and no two are the same', (t) => {
  const codes = Array.from({ length: 1_000 }, createLinkCode);
  t.equal(new Set(codes).size, codes.length);
  for (const code of codes) {
    t.match(code, /^[\w-]{43}$/);
    t.ok(isLinkCode(code));
  }
  t.equal(hashLinkCode(codes[0] ?? '').length, 32);
  t.end();
});

test('a code for typing has eight letters that are not taken for one another, and uses all of them', (t) => {
  const codes = Array.from({ length: 2_000 }, createTypedCode);
  for (const code of codes) {
    t.match(code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
    t.notOk(isLinkCode(code));
  }
  t.equal(new Set(codes.join('')).size, ALPHABET.length + 1, 'the alphabet and the dash');
  t.equal(new Set(codes).size, codes.length);
  t.end();
});

test('it does not matter how a code is typed', (t) => {
  const typed = typedCode.chain((code) => fc.tuple(fc.constant(code), asTyped(code)));
  fc.assert(fc.property(typed, ([code, text]) => normalizeTypedCode(text) === code));
  t.end();
});

test('two different codes stay different, however they are typed', (t) => {
  const two = fc.uniqueArray(typedCode, { minLength: 2, maxLength: 2 });
  const typed = two.chain(([one = '', other = '']) => fc.tuple(asTyped(one), asTyped(other)));
  fc.assert(fc.property(typed, ([one, other]) => normalizeTypedCode(one) !== normalizeTypedCode(other)));
  t.end();
});

test('any text can be typed, and what is normal stays as it is', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const normal = normalizeTypedCode(text);
      return normalizeTypedCode(normal) === normal;
    }),
  );
  t.end();
});

test('a code for typing is right in its own row alone', (t) => {
  const code = createTypedCode();
  const [id, other] = [randomUUID(), randomUUID()];
  const typedHash = hashTypedCode(id, code);
  t.ok(isTypedCode({ id, typedHash }, code.toLowerCase().replace('-', ' ')));
  t.notOk(isTypedCode({ id: other, typedHash }, code));
  t.notSame(hashTypedCode(other, code), typedHash, 'whoever reads the table sees no equal codes');
  for (const wrong of ['', code.slice(1), `${code}0`, createTypedCode()])
    t.notOk(isTypedCode({ id, typedHash }, wrong));
  t.end();
});
