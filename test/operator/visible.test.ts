import fc from 'fast-check';
import { test } from 'tap';
import { aligned } from '../../src/operator/table.ts';
import { visible, visibleJson } from '../../src/operator/visible.ts';

const OBEYED = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u;

test('what a terminal would obey is shown as an escape, and all else stays', (t) => {
  t.equal(
    visible('a\u001b]52;c;cm0=\u0007\u009b2J\r\nb\u202ec'),
    'a\\u001b]52;c;cm0=\\u0007\\u009b2J\\u000d\\u000ab\\u202ec',
  );
  t.equal(visible('Zoë 👩‍💻 李'), 'Zoë 👩‍💻 李');
  t.end();
});

test('a table has a line for each row, whatever is in its cells', (t) => {
  t.equal(
    aligned([
      ['a', 'b'],
      ['x\u001b[2K\ny', 'z'],
    ]),
    'a                  b\nx\\u001b[2K\\u000ay  z\n',
  );
  t.end();
});

test('JSON on a terminal has nothing that it would obey, and says the same', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = visibleJson({ text });
      return JSON.parse(json).text === text && !OBEYED.test(json) && !OBEYED.test(visible(text));
    }),
  );
  t.equal(visibleJson({ a: '\u009b' }, 2), '{\n  "a": "\\u009b"\n}');
  t.end();
});
