import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Teardown = { teardown(undo: () => unknown): void };

/** What is revoked, by ids in place of hashes. */
export type Revoked = {
  sessions?: string[];
  tokens?: string[];
  users?: [string, number][];
  clients?: [string, number][];
  keys?: string[];
};

/** The members of an answer that differ from the usual ones. */
type Part = Record<string, unknown>;

/** The revocation feed as JSON, at any path, with answers that a test makes. Other GETs are answered from `documents`. */
export async function startFakeFeed(t: Teardown, documents: Record<string, object> = {}) {
  let epoch = 'one';
  let parts: Part[] = [];
  let windowSeconds = 1920;
  let answerWith: ((response: ServerResponse) => void) | null = null;
  const requests: IncomingMessage[] = [];

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const document = documents[pathname];
    if (document !== undefined) return void response.end(JSON.stringify(document));
    requests.push(request);
    if (answerWith !== null) return answerWith(response);
    return void response.end(JSON.stringify(partAfter(searchParams.get('after'))));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });

  function partAfter(after: string | null): object {
    const place = parts.findIndex((_part, at) => after === cursorAt(at));
    const isKnown = place >= 0 || after === cursorAt(-1);
    const next = parts[isKnown ? place + 1 : 0] ?? {};
    const at = Math.min(isKnown ? place + 1 : 0, parts.length - 1);
    return {
      cursor: cursorAt(at),
      from: isKnown ? after : null,
      as_of: Date.now(),
      age: 0.1,
      window: windowSeconds,
      ...(at < parts.length - 1 && { more: true }),
      ...{ sessions: '', tokens: '', users: [], clients: [], keys: [] },
      ...next,
    };
  }

  function cursorAt(at: number): string {
    return `${epoch}.${at + 1}`;
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    /** Adds a part. */
    revoke: (revoked: Revoked, changes: Part = {}) => void parts.push({ ...partOf(revoked), ...changes }),
    /** Another epoch with these parts, as after the restore of a backup. */
    restore: (name: string, revoked: Revoked[], changes: Part = {}) => {
      epoch = name;
      parts = revoked.map((each) => ({ ...partOf(each), ...changes }));
    },
    keepFor: (seconds: number) => {
      windowSeconds = seconds;
    },
    /** Something else than the feed; null: the feed again. */
    answer: (how: typeof answerWith) => {
      answerWith = how;
    },
  };
}

function partOf({ sessions = [], tokens = [], users = [], clients = [], keys = [] }: Revoked): Part {
  return {
    sessions: Buffer.concat(sessions.map(hashOf)).toString('base64url'),
    tokens: Buffer.concat(tokens.map(hashOf)).toString('base64url'),
    users: users.map(([id, version]) => [hashOf(id).toString('base64url'), version]),
    clients: clients.map(([id, seconds]) => [hashOf(id).toString('base64url'), seconds]),
    keys,
  };
}

function hashOf(id: string): Buffer {
  return createHash('sha256').update(id).digest().subarray(0, 8);
}
