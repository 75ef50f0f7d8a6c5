import { createHash } from 'node:crypto';
import { test } from 'tap';
import { createTokenHash } from '../../src/verifier/token-hash.ts';

const texts = ['', 'session-1', '019ab2c4-0000-7000-8000-000000000000', 'Zoë 🔑', 'x'.repeat(1000)];

/** The first 8 bytes, big-endian. */
function expected(text: string) {
  const digest = createHash('sha256').update(text).digest();
  return { high: digest.readUInt32BE(0), low: digest.readUInt32BE(4) };
}

test('hashes at once in Node', (t) => {
  const { now } = createTokenHash();
  for (const text of texts) t.strictSame(now?.(text), expected(text));
  t.end();
});

test('hashes by WebCrypto where there is no crypto of Node, to the same', async (t) => {
  const runtimes = [{}, { process: {} }, { process: { getBuiltinModule: () => undefined } }];
  for (const runtime of runtimes) {
    const { now, later } = createTokenHash(runtime);
    t.equal(now, undefined);
    for (const text of texts) t.strictSame(await later(text), expected(text));
  }
});

test('hashes by WebCrypto where what has the name of the crypto of Node is something else', async (t) => {
  const others: Record<string, (...args: [string, string, string]) => unknown> = {
    'knows no such encoding': () => {
      throw new TypeError('Unknown encoding: latin1');
    },
    'gives bytes': (algorithm, text) => createHash(algorithm).update(text).digest(),
    'gives hexadecimal digits': (algorithm, text) => createHash(algorithm).update(text).digest('hex'),
    'gives nothing': () => '',
    'takes another algorithm': (_, text) => createHash('sha512').update(text).digest('latin1'),
    'takes texts in another encoding': (algorithm, text) =>
      createHash(algorithm).update(text, 'latin1').digest('latin1'),
  };
  for (const [what, other] of Object.entries(others)) {
    const { now, later } = createTokenHash({ process: { getBuiltinModule: () => ({ hash: other }) } });
    t.equal(now, undefined, what);
    t.strictSame(await later('session-1'), expected('session-1'));
  }
  t.equal(createTokenHash({ process: { getBuiltinModule: () => ({}) } }).now, undefined, 'has none');
});

test('remembers some, and hashes again what it has forgotten', (t) => {
  const { now } = createTokenHash();
  for (let count = 0; count < 10_000; count += 1) now?.(`session-${count}`);
  for (const text of ['session-0', 'session-0', 'session-9999']) t.strictSame(now?.(text), expected(text));
  t.end();
});

test('hashes a text once while it keeps it', (t) => {
  const hashed: string[] = [];
  const hash = (algorithm: string, text: string) => {
    hashed.push(text);
    return createHash(algorithm).update(text).digest('latin1');
  };
  const { now } = createTokenHash({ process: { getBuiltinModule: () => ({ hash }) } });
  hashed.length = 0;
  for (const text of ['session-1', 'token-9', 'session-1', 'token-9'])
    t.strictSame(now?.(text), expected(text));
  t.strictSame(hashed, ['session-1', 'token-9']);
  t.end();
});

test('gives each of two texts that have one place its own hash', (t) => {
  const { now } = createTokenHash();
  for (const text of ['session-a-0000', 'session-b-0000', 'session-a-0000', '0', '00', '0'])
    t.strictSame(now?.(text), expected(text));
  t.end();
});
