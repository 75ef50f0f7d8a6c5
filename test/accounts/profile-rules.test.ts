import { test } from 'tap';
import {
  mergePatch,
  type Profile,
  type ProfilePatch,
  patchProfile,
} from '../../src/accounts/profile-rules.ts';

const EMPTY: Profile = { displayName: null, locale: null, metadata: {} };

/** The messages of a refused patch, by path. */
function refusal(patch: object, profile = EMPTY): Record<string, string> {
  try {
    patchProfile(profile, patch as ProfilePatch);
  } catch (error) {
    const { errors } = error as { errors: { path: string; message: string }[] };
    return Object.fromEntries(errors.map(({ path, message }) => [path, message]));
  }
  throw new Error('it was accepted');
}

const nested = (depth: number): object => (depth === 1 ? {} : { a: nested(depth - 1) });

test('merges as the examples of RFC 7396 say', (t) => {
  const examples: [target: unknown, patch: unknown, result: unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of examples)
    t.strictSame(mergePatch(target, patch), result, JSON.stringify(patch));
  t.end();
});

test('a member __proto__ is one like any other, and changes no object', (t) => {
  const patch = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');
  const merged = mergePatch({ a: 1 }, patch) as Record<string, unknown>;
  t.equal(({} as Record<string, unknown>).polluted, undefined);
  t.equal(Object.getPrototypeOf(merged), Object.prototype);
  t.same(Object.keys(merged), ['a', '__proto__', 'constructor']);
  t.end();
});

test('what a patch does not name stays, and null takes away', (t) => {
  const profile = { displayName: 'Ada', locale: 'de', metadata: { a: 1, b: { c: 2 } } };
  t.same(patchProfile(profile, {}), { profile, changed: [] });
  t.same(patchProfile(profile, { display_name: null, locale: null, metadata: null }), {
    profile: EMPTY,
    changed: ['display_name', 'locale', 'metadata'],
  });
  t.same(patchProfile(profile, { metadata: { b: { c: null, d: [null] } } }), {
    profile: { ...profile, metadata: { a: 1, b: { d: [null] } } },
    changed: ['metadata'],
  });
  t.same(patchProfile(profile, { display_name: 'Ada', locale: 'DE', metadata: { a: 1 } }).changed, []);
  t.end();
});

test('a name is trimmed, and composed in one way', (t) => {
  const nameOf = (display_name: string) => patchProfile(EMPTY, { display_name }).profile.displayName;
  t.equal(nameOf('  Ada\u00a0'), 'Ada');
  t.equal(nameOf('Zoe\u0308'), 'Zo\u00eb');
  for (const name of ['王', '😀', '"; drop table', 'نور\u200cا', '𝒜'.repeat(100)])
    t.equal(nameOf(name), name);
  t.end();
});

test('a name that cannot be seen, is too long, or turns the text around it is refused', (t) => {
  for (const [name, message] of [
    ['', /can be seen/],
    [' \u200b\u2060 ', /can be seen/],
    ['𝒜'.repeat(101), /at most 100/],
    ['Ada\nBcc: x', /control characters/],
    ['Ada\u0000', /control characters/],
    ['Ada\u2028Lovelace', /control characters/],
    ['\u202eadA', /direction of the text/],
    ['\u2066Ada', /direction of the text/],
  ] as const)
    t.match(refusal({ display_name: name }), { '/display_name': message }, encodeURIComponent(name));
  t.end();
});

test('a language tag is stored in its canonical form', (t) => {
  const localeOf = (locale: string) => patchProfile(EMPTY, { locale }).profile.locale;
  t.equal(localeOf('de'), 'de');
  t.equal(localeOf('PT-br'), 'pt-BR');
  t.equal(localeOf('zh-hant-tw'), 'zh-Hant-TW');
  t.equal(localeOf('iw'), 'he');
  for (const locale of ['', 'e', 'en_US', 'de-', '../de', 'de\n', `en-${'a'.repeat(40)}`, 'en-u-'.repeat(9)])
    t.match(refusal({ locale }), { '/locale': /such as "de"/ }, locale);
  t.end();
});

test('metadata has at most 4 KiB of JSON after the merge, counted in UTF-8', (t) => {
  const full = { a: 'ä'.repeat(2_044) };
  t.equal(Buffer.byteLength(JSON.stringify(full)), 4_096);
  t.same(patchProfile(EMPTY, { metadata: full }).profile.metadata, full);
  t.match(refusal({ metadata: { a: `${full.a}b` } }), { '/metadata': /4097 bytes.*at most 4096/ });
  const profile = { ...EMPTY, metadata: full };
  t.match(refusal({ metadata: { b: 1 } }, profile), { '/metadata': /4102 bytes/ });
  t.same(patchProfile(profile, { metadata: { a: null, b: 1 } }).profile.metadata, { b: 1 });
  t.end();
});

test('metadata that the database or JSON could not give back is refused', (t) => {
  t.ok(patchProfile(EMPTY, { metadata: nested(16) as never }));
  for (const [metadata, message] of [
    [nested(17), /at most 16/],
    [{ a: JSON.parse('['.repeat(5_000) + ']'.repeat(5_000)) }, /at most 16/],
    [{ a: ['b\0'] }, /NUL/],
    [{ 'a\0': 1 }, /NUL/],
    [{ a: { b: '\ud800' } }, /well-formed/],
    [JSON.parse('{"a":1e999}'), /smaller numbers/],
  ] as const)
    t.match(refusal({ metadata }), { '/metadata': message }, JSON.stringify(metadata).slice(0, 50));
  t.end();
});

test('all that is wrong is told at once', (t) => {
  const paths = Object.keys(refusal({ display_name: '', locale: '', metadata: nested(17) }));
  t.same(paths, ['/display_name', '/locale', '/metadata']);
  t.end();
});
