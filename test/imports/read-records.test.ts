import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import type { Item } from '../../src/imports/item.ts';
import { readCsv } from '../../src/imports/read-csv.ts';
import { readJson } from '../../src/imports/read-json.ts';
import { type Container, readRecords } from '../../src/imports/read-records.ts';
import { findOrigin } from '../../src/imports/read-users.ts';
import { openSource, SourceError } from '../../src/imports/source-bytes.ts';

type Text = string | Buffer;

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

/** In parts of a size that cuts lines and characters. */
async function* parts(text: Text, size = 7): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function read(text: Text, container?: Container, size?: number) {
  const { container: form, items } = await readRecords(parts(text, size), container);
  return { form, items: await all(items) };
}

const records = (items: Item[]) => items.map((item) => ('record' in item ? item.record : item.problem));

t.test('lines of JSON: CRLF, a mark at the start, empty lines, no end of the last line', async (t) => {
  const { form, items } = await read('\ufeff\n{"email":"ä@b.example"}\r\n\r\n  \n{"a":2}');
  t.equal(form, 'lines');
  t.same(items, [
    { line: 2, record: { email: 'ä@b.example' } },
    { line: 5, record: { a: 2 } },
  ]);
});

t.test('lines that cannot be read are reasons, and the lines after them are read', async (t) => {
  const bad = Buffer.concat([Buffer.from('{"a":1}\n{"a":"'), Buffer.from([0xff]), Buffer.from('"}\n{"a"\n')]);
  const { items } = await read(
    Buffer.concat([bad, Buffer.from(`"${'x'.repeat(1024 * 1024)}"\n{"a":"\0"}\n7\n`)]),
    'lines',
    100_000,
  );
  t.same(records(items), [
    { a: 1 },
    'the line is not UTF-8',
    'the line is not JSON',
    'the line is longer than 1 MiB',
    'the line is not JSON',
    7,
  ]);
  t.match(items[2], { line: 3, raw: '{"a"' }, 'and can be corrected');
  t.notMatch(JSON.stringify(items[3]), /xxx/, 'what is too long is not kept');
});

t.test('a list, and documents with a list', async (t) => {
  const list = [{ a: 1 }, { a: [{ b: 'ä' }] }];
  t.match(await read(JSON.stringify(list)), {
    form: 'list',
    items: [{ line: 1, record: list[0] }, { line: 2 }],
  });
  for (const name of ['users', 'items', 'identities']) {
    const document = { realm: 'x', clients: [{ users: [1] }], [name]: list, after: [{}] };
    const found = await read(JSON.stringify(document, null, 2));
    t.equal(found.form, 'document');
    t.same(records(found.items), list);
  }
  t.match(
    await read(JSON.stringify({ users: list })),
    { form: 'document', items: { length: 2 } },
    'in one line',
  );
  t.match(await read(JSON.stringify({ items: list })), { form: 'document', items: { length: 2 } });
  t.same((await read('[]')).items, []);
});

t.test('a document that is no JSON, or has no users, says how far it came', async (t) => {
  const failure = (text: Text) =>
    read(text).then(
      () => '',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  t.match(await failure('[{"a":1},{"a":secret}]'), /SourceError: The document is not JSON.* after user \d\./);
  t.notMatch(await failure('[{"a":1},{"a":secret}]'), /secret/);
  t.match(await failure('[{"a":1},'), /its end is missing/);
  t.match(await failure('{"no": \n[]}'), /has no list of users/);
  t.match(await failure('{"users": \n{}}'), /is not JSON/);
  t.match(
    await failure(Buffer.concat([Buffer.from('["'), Buffer.from([0xff]), Buffer.from('"]')])),
    /is not UTF-8/,
  );
  t.match(await failure(''), /is empty/);
  t.match(await failure(' \n '), /is empty/);
  t.match(await failure('\u0000{\u0000'), /UTF-16/);
  t.match(await failure(Buffer.from('\ufeff{', 'utf16le')), /UTF-16/);
});

t.test('a document without the end of a user does not fill the memory', async (t) => {
  const chunk = Buffer.alloc(1024, ' ');
  const endless = async function* () {
    yield Buffer.from('[');
    for (;;) yield chunk;
  };
  await t.rejects(all(readJson(endless(), true, 100_000)), { message: /100000 bytes/ });
});

t.test('rows: quotes, several lines in a field, other delimiters', async (t) => {
  const { form, items } = await read(
    '\ufeffemail,name\r\na@b.example,"Ada, ""L"""\r\nc@b.example,"two\nlines"\r\n\r\n',
  );
  t.equal(form, 'csv');
  t.same(items, [
    { line: 2, record: { email: 'a@b.example', name: 'Ada, "L"' } },
    { line: 4, record: { email: 'c@b.example', name: 'two\nlines' } },
  ]);
  t.same(records((await read('email;name\na;b')).items), [{ email: 'a', name: 'b' }]);
  t.same(records((await read('email ; name\r\na;b\r\n')).items), [{ email: 'a', name: 'b' }]);
  t.same(records((await read('email\tname\na\tb')).items), [{ email: 'a', name: 'b' }]);
});

t.test('a first line that is damaged does not make lines a document', async (t) => {
  const { form, items } = await read('{"email":"a@b.example",}\n{"email":"c@b.example"}\n');
  t.equal(form, 'lines');
  t.same(records(items), ['the line is not JSON', { email: 'c@b.example' }]);
  await t.rejects(read('{"users":[{},]}'), SourceError);
});

t.test('rows that cannot be read are reasons in their place', async (t) => {
  const bytes = Buffer.concat([
    Buffer.from('email,name\na@b.example,1\nb@b.example\n"c"x,2\n'),
    Buffer.from([0xff]),
    Buffer.from(',3\nd@b.example,4\n'),
  ]);
  const { items } = await read(bytes);
  t.match(items[1], { line: 3, raw: ['b@b.example'] }, 'the fields can be given their names');
  t.same(records(items), [
    { email: 'a@b.example', name: '1' },
    'the row has more or fewer fields than the first line',
    { email: '"c"x', name: '2' },
    'the row is not UTF-8',
    { email: 'd@b.example', name: '4' },
  ]);
});

t.test('a quote that is not closed ends the reading: it would hide the rows after it', async (t) => {
  const failure = (text: Text) => all(readCsv(parts(text, 10_000), 'email')).catch(String);
  t.match(await failure('email\na@b.example\n"open\nb@b.example\n'), /After line 2 a quote is opened/);
  t.match(
    await failure(`email\na@b.example\n"${'x'.repeat(1024 * 1024)}\n`),
    /After line 2 a quote is opened/,
  );
  t.match(await failure('"email\n'), /After line 1 a quote is opened/);
});

t.test('trouble with the file is not taken for a mistake in it', async (t) => {
  const broken = async function* () {
    yield Buffer.from('[\n');
    throw Object.assign(new Error('read'), { code: 'EIO' });
  };
  await t.rejects(all(readCsv(broken(), 'email')), { code: 'EIO' });
  await t.rejects(all(readJson(broken(), true)), { code: 'EIO' });
});

t.test('a file is unpacked if it is gzipped, and standard input is read as one', async (t) => {
  const folder = t.testdir({ plain: '{"a":1}\n' });
  const packed = gzipSync(Buffer.from('{"a":1}\n'.repeat(1_000)));
  writeFileSync(join(folder, 'packed.gz'), packed);
  writeFileSync(join(folder, 'short.gz'), packed.subarray(0, -10));
  writeFileSync(join(folder, 'bad.gz'), Buffer.concat([packed.subarray(0, 12), Buffer.alloc(50, 0xee)]));
  const text = async (name: string) =>
    Buffer.concat(await all(await openSource(join(folder, name), Readable.from([])))).toString();
  t.equal(await text('plain'), readFileSync(join(folder, 'plain'), 'utf8'));
  t.equal((await text('packed.gz')).length, 8_000);
  await t.rejects(text('short.gz'), { message: /damaged/ });
  await t.rejects(text('bad.gz'), { message: /damaged/ });
  await t.rejects(text('none'), { code: 'ENOENT' });
  const stdin = await openSource('-', Readable.from([Buffer.from('ab')]));
  t.equal(Buffer.concat(await all(stdin)).toString(), 'ab');
  const failing = async function* () {
    yield packed.subarray(0, 20);
    throw Object.assign(new Error('read'), { code: 'EIO' });
  };
  await t.rejects(all(await openSource('-', Readable.from(failing()))), { code: 'EIO' });
});

t.test('the first record that can be read tells the system, and none is lost', async (t) => {
  async function* items(...found: Item[]): AsyncGenerator<Item> {
    yield* found;
  }
  const bad: Item = { line: 1, problem: 'x', raw: '' };
  const odd: Item = { line: 2, record: 7 };
  const good: Item = { line: 3, record: { localId: 'a' } };
  const found = await findOrigin(items(bad, odd, good, bad), false);
  t.equal(found.from, 'firebase');
  t.same(await all(found.items), [bad, odd, good, bad]);
  const none = await findOrigin(items(...Array.from({ length: 200 }, () => bad), good), false);
  t.equal(none.from, null);
  t.equal((await findOrigin(items(), false)).from, null);
  const rejected = { line: 1, record: { line: 1, from: 'clerk', reasons: [], record: {} } };
  t.equal((await findOrigin(items(rejected), false)).from, 'clerk');
});

t.test('random bytes never crash a reader', async () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ',',
    '\n',
    '\r\n',
    '\0',
    'users',
    ':',
    '\\',
    '\ufeff',
    '1',
    ' ',
    'ä',
    ';',
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array)),
    fc.array(pieces, { maxLength: 40 }).map((texts) => Buffer.from(texts.join(''))),
  );
  const container = fc.constantFrom<Container | undefined>('lines', 'list', 'document', 'csv', undefined);
  await fc.assert(
    fc.asyncProperty(bytes, container, fc.integer({ min: 1, max: 20 }), async (text, form, size) => {
      const error = await read(text, form, size).catch((thrown: unknown) => thrown);
      return !(error instanceof Error) || error instanceof SourceError;
    }),
    { numRuns: 500 },
  );
});

t.test('each line is one item', async () => {
  const line = fc.oneof(fc.json(), fc.string()).map((text) => text.replaceAll(/[\n\r]/g, ' '));
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 50 }), async (lines, size) => {
      const text = ['{"a":1}', ...lines].join('\n');
      const { items } = await read(text, 'lines', size);
      return items.length === text.split('\n').filter((one) => one.trim() !== '').length;
    }),
    { numRuns: 300 },
  );
});
