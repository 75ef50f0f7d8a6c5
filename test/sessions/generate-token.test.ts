import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import {
  createGenerateToken,
  hashGenerateToken,
  isGenerateToken,
} from '../../src/sessions/generate-token.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const toToken = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

test('a new token is 32 bytes in base64url, each time others', async (t) => {
  const tokens = Array.from({ length: 1000 }, createGenerateToken);
  t.equal(new Set(tokens).size, 1000);
  const isWellMade = (token: string) => {
    const bytes = Buffer.from(token, 'base64url');
    return bytes.length === 32 && toToken(bytes) === token;
  };
  t.ok(tokens.every(isWellMade));
});

test('whatever 32 bytes make is accepted', async (t) => {
  const isAccepted = (bytes: Uint8Array) => isGenerateToken(toToken(bytes));
  t.doesNotThrow(() => fc.assert(fc.property(bytes32, isAccepted)));
});

test('nothing is accepted that 32 bytes do not make', async (t) => {
  const token = createGenerateToken();
  const nearly = fc
    .tuple(fc.nat({ max: 43 }), fc.string({ unit: 'binary', maxLength: 2 }))
    .map(([at, piece]) => {
      return token.slice(0, at) + piece + token.slice(at + 1);
    });
  const isJudgedByItsBytes = (text: string) => {
    const bytes = Buffer.from(text, 'base64url');
    return isGenerateToken(text) === (bytes.length === 32 && bytes.toString('base64url') === text);
  };
  t.doesNotThrow(() => fc.assert(fc.property(nearly, isJudgedByItsBytes), { numRuns: 2000 }));
  const others = [
    '',
    token.slice(1),
    `${token}A`,
    `${token}=`,
    `${token}\n`,
    `\n${token}`,
    `${token}\0`,
    'A'.repeat(44),
  ];
  for (const text of others) t.equal(isGenerateToken(text), false, JSON.stringify(text));
});

test('one token has one spelling: the last letter has no spare bits', async (t) => {
  const token = `${createGenerateToken().slice(0, 42)}A`;
  t.equal(isGenerateToken(token), true);
  const sameBytes = `${token.slice(0, 42)}B`;
  t.same(Buffer.from(sameBytes, 'base64url'), Buffer.from(token, 'base64url'));
  t.equal(isGenerateToken(sameBytes), false);
});

test('its hash is the SHA-256 of its 43 letters', async (t) => {
  const token = createGenerateToken();
  t.same(hashGenerateToken(token), createHash('sha256').update(Buffer.from(token)).digest());
});
