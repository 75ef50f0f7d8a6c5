import fc from 'fast-check';
import { test } from 'tap';
import { cursorOf, pageFrom, pageOf } from '../../src/admin/admin-page.ts';

const FORM = /^[a-z]+$/;

test('a cursor leads back to the position that it was made of', (t) => {
  const position = fc.string({ unit: fc.constantFrom(...'abcxyz'), minLength: 1 });
  fc.assert(
    fc.property(position, (text) => pageOf({ after: cursorOf(text), limit: '7' }, FORM).after === text),
  );
  t.strictSame(pageOf({}, FORM), { limit: 50, after: undefined });
  t.end();
});

test('what is no position of the list is refused, and says which field is wrong', (t) => {
  const rubbish = fc.string().filter((text) => !FORM.test(Buffer.from(text, 'base64url').toString()));
  fc.assert(
    fc.property(rubbish, (after) => {
      t.throws(() => pageOf({ after }, FORM), { code: 'validation_failed', errors: [{ path: '/after' }] });
    }),
    { numRuns: 50 },
  );
  t.end();
});

test('a list goes on exactly if there is a row more than was asked for', (t) => {
  t.strictSame(pageFrom(['a', 'b', 'c'], 2, String), { rows: ['a', 'b'], next: cursorOf('b') });
  t.strictSame(pageFrom(['a', 'b'], 2, String), { rows: ['a', 'b'], next: null });
  t.strictSame(pageFrom([], 2, String), { rows: [], next: null });
  t.end();
});
