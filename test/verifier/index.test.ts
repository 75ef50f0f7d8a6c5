import { readFileSync } from 'node:fs';
import { test } from 'tap';
import * as api from '../../src/verifier/index.ts';

test('@doorward/verifier has these functions, and no others', async (t) => {
  t.strictSame(Object.keys(api).sort(), [
    'SetupError',
    'VerifierError',
    'createDoors',
    'createIntrospection',
    'createVerifier',
    'userOf',
  ]);
});

test('each code has a sentence that fits into a header', async (t) => {
  const source = readFileSync('src/verifier/verifier-error.ts', 'utf8');
  const codes = [...source.matchAll(/^ {2}\| '(\w+)'/gm)].map(([, code]) => code as api.VerifierErrorCode);
  t.equal(codes.length, 21);
  for (const code of codes)
    t.match(new api.VerifierError(code).message, /^[\x20\x21\x23-\x5b\x5d-\x7e]{10,}$/, code);
});
