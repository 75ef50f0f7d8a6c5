import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

type Teardown = { teardown(undo: () => unknown): void };

type Direction = 'questions' | 'answers';

/** A bad network in front of one server. Each call replaces the earlier fault; `mend` ends it. */
export type TcpProxy = {
  /** The server's URL through the proxy. */
  url: string;
  /** Every answer takes this much longer. */
  slow(ms: number): void;
  /** Bytes wait in the proxy, also those of new connections. As after a real partition, `mend` delivers them. */
  blackhole(...held: Direction[]): void;
  /** Questions with this text are lost, also on new connections. @returns how many have been, until now */
  lose(text: string): () => number;
  /** How often the client has spoken after the server had: each is a round trip of its own. */
  turns(): number;
  /** Connections are reset, and so is every new one. */
  reset(): void;
  /** The server's side of each connection is gone, but the client does not see that. New connections work. */
  halfOpen(): void;
  /** New connections go to another server, and existing ones end. */
  redirect(port: number): void;
  mend(): void;
};

type Link = { client: Socket; upstream: Socket; isHalfOpen: boolean };

/** Puts a proxy in front of the server of `url`. */
export async function createTcpProxy(t: Teardown, url: string): Promise<TcpProxy> {
  const near = new URL(url);
  const target = { host: near.hostname, port: Number(near.port) || usualPortOf(near) };
  const links = new Set<Link>();
  let answerDelayMs = 0;
  let refuses = false;
  let held: Direction[] = [];
  let lost: { text: string; count: number } | null = null;
  let spoke: Direction = 'answers';
  let turns = 0;
  let mended = Promise.withResolvers<void>();

  const server = createServer((client) => {
    if (refuses) return reset(client);
    const link = { client, upstream: connect(target), isHalfOpen: false };
    links.add(link);
    carry(link, link.client, link.upstream, 'questions');
    carry(link, link.upstream, link.client, 'answers');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    // Bytes that still wait would keep their connection, and this process, alive for ever.
    set({ refuse: true });
    endLinks();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  near.hostname = '127.0.0.1';
  near.port = String(address.port);

  return {
    url: near.href,
    slow: (ms) => set({ slowMs: ms }),
    blackhole: (...directions) =>
      set({ hold: directions.length > 0 ? directions : ['questions', 'answers'] }),
    lose: (text) => {
      const losing = { text, count: 0 };
      set({ loss: losing });
      return () => losing.count;
    },
    turns: () => turns,
    reset: () => {
      set({ refuse: true });
      endLinks();
    },
    halfOpen: () => {
      set({});
      for (const link of links) {
        link.isHalfOpen = true;
        link.upstream.destroy();
      }
    },
    redirect: (port) => {
      set({});
      target.port = port;
      endLinks();
    },
    mend: () => {
      set({});
      for (const link of links) if (link.isHalfOpen) reset(link.client);
    },
  };

  function set({ slowMs = 0, hold = [] as Direction[], loss = null as typeof lost, refuse = false }): void {
    answerDelayMs = slowMs;
    held = hold;
    lost = loss;
    refuses = refuse;
    mended.resolve();
    mended = Promise.withResolvers<void>();
  }

  function endLinks(): void {
    for (const { client, upstream } of links) {
      reset(client);
      upstream.destroy();
    }
  }

  /** Passes bytes on in one direction, in order, each when it is due. */
  function carry(link: Link, from: Socket, to: Socket, direction: Direction): void {
    let sent: Promise<unknown> = Promise.resolve();
    from.on('data', (bytes) => {
      if (direction === 'questions' && spoke === 'answers') turns += 1;
      spoke = direction;
      if (lost !== null && direction === 'questions' && bytes.includes(lost.text)) {
        lost.count += 1;
        return;
      }
      const dueAt = Date.now() + (direction === 'answers' ? answerDelayMs : 0);
      sent = sent.then(async () => {
        if (dueAt > Date.now()) await delay(dueAt - Date.now());
        while (held.includes(direction)) await mended.promise;
        if (to.writable) to.write(bytes);
      });
    });
    from.on('error', () => {});
    from.on('close', () => {
      if (link.isHalfOpen && from === link.upstream) return;
      links.delete(link);
      // Bytes that came before the end still arrive before it.
      void sent.then(() => to.destroy());
    });
  }
}

/** A socket that is just ending is not reset: Node would never close it, and this process would never end. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

function usualPortOf({ protocol }: URL): number {
  return protocol.startsWith('redis') ? 6379 : 5432;
}
