import fc from 'fast-check';
import { test } from 'tap';
import { findDuplicateKey } from '../../src/http/duplicate-keys.ts';

test('finds a key that comes twice, wherever it is and however it is written', (t) => {
  for (const [text, path] of [
    ['{"a":1,"a":1}', '/a'],
    ['{"a":1,"\\u0061":1}', '/a'],
    ['{"\\/":1,"/":1}', '/~1'],
    ['{"~":1,"\\u007E":1}', '/~0'],
    ['{"":{},"":[]}', '/'],
    ['[[],{"a":"{\\"b\\":1","b":[1,",",{"c":1,"d":":","c":2}]}]', '/1/b/2/c'],
    [' { "a" : { "b" : 1 } , "c" : { "b" : 1 , "b" : 1 } } ', '/c/b'],
    ['{"constructor":1,"constructor":2}', '/constructor'],
    [`${'['.repeat(8_000)}{"a":1,"a":1}${']'.repeat(8_000)}`, `${'/0'.repeat(8_000)}/a`],
  ] as const) {
    t.doesNotThrow(() => JSON.parse(text));
    t.equal(findDuplicateKey(text), path, text.slice(0, 60));
  }
  t.end();
});

test('the same key in two objects, in another case, or as a value is no duplicate', (t) => {
  for (const text of [
    '{"a":{"a":[{"a":1},{"a":1}]},"A":"a"}',
    '["a","a",{"b":"b"}]',
    '{"a":"\\",\\"a\\":","b":"a"}',
    '"a"',
    'null',
    '[]',
    '{}',
  ])
    t.equal(findDuplicateKey(text), null, text);
  t.end();
});

test('nothing that JSON.stringify writes has one, and every object that gets one is found', (t) => {
  fc.assert(
    fc.property(fc.json(), (text) => findDuplicateKey(text) === null),
    { numRuns: 300 },
  );
  const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { minKeys: 1 });
  const twice = fc.property(object, fc.array(fc.string()), (fields, path) => {
    const inner = JSON.stringify(fields);
    const key = JSON.stringify(Object.keys(fields)[0]);
    const doubled = `${inner.slice(0, -1)},${key}:null}`;
    const text = path.reduceRight((within, step) => `{${JSON.stringify(step)}:[0,${within}]}`, doubled);
    const found = findDuplicateKey(text)?.split('/') ?? [];
    return found.length === 2 * path.length + 2;
  });
  fc.assert(twice, { numRuns: 300 });
  t.end();
});
