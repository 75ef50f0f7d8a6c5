import type { FeedPart } from './revocation-feed.ts';

/** What clients wait after the end of a stream before they open the next one. */
export const STREAM_START = Buffer.from('retry: 1000\n\n');

/** A part of the feed as clients get it: JSON on one line. */
export function messageOf(part: FeedPart): string {
  const { cursor, from, asOf, ageMs, windowSeconds, more, overflow, sessions, tokens, users, clients } = part;
  return JSON.stringify({
    cursor,
    from,
    as_of: asOf,
    age: secondsOf(ageMs),
    window: windowSeconds,
    ...(more && { more }),
    ...(overflow && { overflow }),
    sessions: sessions.toString('base64url'),
    tokens: tokens.toString('base64url'),
    users: users.map(toText),
    clients: clients.map(toText),
    keys: part.keys,
  });
}

/** The same as an event of a stream, which a client that comes back continues after. */
export function eventOf(part: FeedPart): Buffer {
  return Buffer.from(`event: revocations\nid: ${part.cursor}\ndata: ${messageOf(part)}\n\n`);
}

/** The event that says how far the feed has come while there is nothing new. It is sent every second: keep it short. */
export function beatOf({ asOf, ageMs }: Pick<FeedPart, 'asOf' | 'ageMs'>): Buffer {
  return Buffer.from(`event: beat\ndata: ${JSON.stringify({ as_of: asOf, age: secondsOf(ageMs) })}\n\n`);
}

/** Whether a part says nothing new to a client that holds what it continues. */
export function isEmpty({ from, sessions, tokens, users, clients, keys }: FeedPart): boolean {
  return from !== null && [sessions, tokens, users, clients, keys].every(({ length }) => length === 0);
}

function toText([hash, value]: [Buffer, number]): [string, number] {
  return [hash.toString('base64url'), value];
}

function secondsOf(ms: number): number {
  return Math.max(0, Math.round(ms)) / 1000;
}
