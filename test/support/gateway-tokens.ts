import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { CompactSign } from 'jose';
import { createKeySeal } from '../../src/keys/key-material.ts';
import { type Place, runSql } from '../helper.ts';

type Json = Record<string, unknown>;

/** The changes of a forger: members of the header and of the claims; undefined removes one. */
type Change = { header?: Json; claims?: Json; key?: KeyObject };

export type Forger = (token: string, change: Change) => Promise<string>;

/**
 * Makes copies of tokens with one change, signed with the server's own key, so that only this change is wrong. The key
 * comes from the server's database and is decrypted with its key-encryption key.
 */
export async function openForge({ DATABASE_URL, KEY_ENCRYPTION_KEY }: Place): Promise<Forger> {
  const [row] = await runSql<{ kid: string; sealed: Buffer }>(
    DATABASE_URL,
    'select kid, encrypted_private_key as sealed from signing_keys where activated_at is not null',
  );
  if (row === undefined) throw new Error('there is no active key');
  const { privateKey } = createKeySeal(Buffer.from(KEY_ENCRYPTION_KEY, 'base64')).open(row.kid, row.sealed);
  return (token, { header, claims, key = privateKey }) =>
    new CompactSign(new TextEncoder().encode(JSON.stringify({ ...partOf(token, 1), ...claims })))
      .setProtectedHeader({ ...partOf(token, 0), ...header, alg: 'ES256' })
      .sign(key);
}

/** A key that the server has never seen. */
export function strangersKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** The header (0) or the claims (1) of a token, unverified. */
export function partOf(token: string, at: 0 | 1): Json {
  return JSON.parse(Buffer.from(token.split('.')[at] ?? '', 'base64url').toString());
}

/** The same claims with a header for no signature, or for one that is made with public data. */
export function withHeader(token: string, header: Json, signature = ''): string {
  const [, claims] = token.split('.');
  return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${claims}.${signature}`;
}
