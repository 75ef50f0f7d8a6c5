import { createVerifier, type Verifier } from '../../src/verifier/verifier.ts';
import { post } from '../../test/faults/probe.ts';
import { createPlace, storeSessions } from '../place.ts';
import type { MeasuredProcess } from '../processes.ts';
import { generateTokenOf } from '../seed-rows.ts';

/** A signed-in user: the cookie, and an access token of its session. */
export type SignedIn = { cookie: string; token: string };

export type How = 'stream' | 'poll';

/** The audience of all tokens here. */
export const AUDIENCE = 'api';

const MINTED_AT_ONCE = 16;

export type FeedPlace = Awaited<ReturnType<typeof createFeedPlace>>;

/** A private PostgreSQL and Redis, and what the benchmarks of the feed need beside them. */
export async function createFeedPlace() {
  const place = await createPlace();
  const verifiers: Verifier[] = [];
  let stored = 0;

  return {
    ...place,

    startReplica,

    /** A verifier that has its keys and its revocations from this replica. */
    openVerifier({ url }: MeasuredProcess, how: How | false): Verifier {
      const verifier = createVerifier({
        issuer: place.settings.PUBLIC_URL,
        audience: AUDIENCE,
        jwksUri: `${url}/.well-known/jwks.json`,
        revocations: how,
        ...(how && { revocationsUri: `${url}/revocations` }),
      });
      verifiers.push(verifier);
      return verifier;
    },

    /** New users, each with a session that was put into the table, and a token that the replicas have minted in turn. */
    async signIn(replicas: MeasuredProcess[], count: number): Promise<SignedIn[]> {
      await storeSessions(place.sql, stored, count);
      const numbers = Array.from({ length: count }, (_, at) => stored + at);
      stored += count;
      return inTurn(numbers, MINTED_AT_ONCE, (number) => mint(replicas, number));
    },

    /** So many entries of now, which have their places in the feed: of a hundred, 93 sessions, 5 users, and 2 tokens. */
    async fillWindow(count: number): Promise<void> {
      await place.sql`
        insert into revocations (kind, subject, value)
        select kind, substr(sha256(convert_to('bench ' || i, 'UTF8')), 1, 8), case kind when 'user' then 2 end
          from generate_series(1, ${count}::int) as i,
               lateral (select case when i % 100 < 5 then 'user' when i % 100 < 7 then 'token' else 'session' end) as _ (kind)`;
      await place.sql`select number_revocations(${count}::int)`;
      await place.sql`vacuum (analyze) revocations`;
    },

    async close(): Promise<void> {
      await Promise.all(verifiers.map((verifier) => verifier.close()));
      await place.close();
    },
  };

  /** A server on all cores, which refuses nothing because the machine is busy. */
  function startReplica(more: Record<string, string> = {}): Promise<MeasuredProcess> {
    return place.startServer({ MAX_EVENT_LOOP_DELAY: '0s', ...more }, { pinned: false });
  }
}

async function mint(replicas: MeasuredProcess[], number: number): Promise<SignedIn> {
  const cookie = `__Host-g_token=${generateTokenOf(number)}`;
  const answer = await post(replicaOf(replicas, number), '/token', { cookie });
  if (answer.status !== 200) throw new Error(`/token answers ${answer.status}: ${answer.body}`);
  return { cookie, token: JSON.parse(answer.body).access_token };
}

export function replicaOf(replicas: MeasuredProcess[], at: number): MeasuredProcess {
  const replica = replicas[at % replicas.length];
  if (replica === undefined) throw new Error('there are no replicas');
  return replica;
}

/** Does something with each item, with so many at once. @returns the results in the order of the items */
async function inTurn<Item, Result>(items: Item[], atOnce: number, work: (item: Item) => Promise<Result>) {
  const results: Result[] = [];
  const left = items.entries();
  const worker = async () => {
    for (const [at, item] of left) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
