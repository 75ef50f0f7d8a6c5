import { test } from 'tap';
import { SIGNING_ALGORITHMS } from '../../src/core/jwk.ts';
import { DEFAULT_ALGORITHMS } from '../../src/verifier/check-token.ts';

test('services that name no algorithms take what this server signs with, and nothing else', (t) => {
  // The verifier imports nothing from the server, so it has a list of its own.
  t.same(DEFAULT_ALGORITHMS, SIGNING_ALGORITHMS);
  t.end();
});
