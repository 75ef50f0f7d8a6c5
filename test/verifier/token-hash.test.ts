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
  const hash = createTokenHash();
  for (const text of texts) t.strictSame(hash(text), expected(text));
  t.end();
});

test('hashes by WebCrypto where there is no crypto of Node, to the same', async (t) => {
  const runtimes = [{}, { process: {} }, { process: { getBuiltinModule: () => undefined } }];
  for (const runtime of runtimes) {
    const hash = createTokenHash(runtime);
    for (const text of texts) t.strictSame(await hash(text), expected(text));
  }
});
