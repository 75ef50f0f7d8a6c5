import { test } from 'tap';
import { createTokenId } from '../../src/tokens/token-id.ts';

test('a token id is 128 bits in base64url', (t) => {
  const id = createTokenId();
  t.match(id, /^[\w-]{22}$/);
  t.equal(Buffer.from(id, 'base64url').length, 16);
  t.end();
});

test('no two ids are alike, those of a refilled pool included', (t) => {
  const ids = Array.from({ length: 1_000 }, createTokenId);
  t.equal(new Set(ids).size, ids.length);
  // An id that is too short, or read beyond the end of the pool, would be among these.
  for (const id of ids) if (!/^[\w-]{22}$/.test(id)) t.fail(id);
  t.end();
});
