import { createHash } from 'node:crypto';

/** What a message of the feed revokes, in words. */
export type Revoked = {
  sessions?: string[];
  tokens?: string[];
  users?: Record<string, number>;
  clients?: Record<string, number>;
  keys?: string[];
};

/** The first 8 bytes of the SHA-256 of a text. */
export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, 8);
}

/** The JSON object of a message. */
export function messageOf(
  { sessions = [], tokens = [], users = {}, clients = {}, keys = [] }: Revoked,
  members: Record<string, unknown> = {},
) {
  const hashes = (texts: string[]) => Buffer.concat(texts.map(hashOf)).toString('base64url');
  const pairs = (values: Record<string, number>) =>
    Object.entries(values).map(([text, value]) => [hashOf(text).toString('base64url'), value]);
  return {
    cursor: 'a.1',
    from: null as string | null,
    as_of: 1_800_000_000_000,
    age: 0,
    window: 1920,
    sessions: hashes(sessions),
    tokens: hashes(tokens),
    users: pairs(users),
    clients: pairs(clients),
    keys,
    ...members,
  };
}
