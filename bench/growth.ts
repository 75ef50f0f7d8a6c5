/** `npm run bench:growth`: `/token` with more and more sessions in the table. Takes some 6 GB of disk for a while. */
import { createPlace, storeSessions } from './place.ts';
import { leaveServerCore } from './processes.ts';
import { tableOf } from './report.ts';
import { measureAll } from './rounds.ts';
import { cookiesInTurn, FLOOR, mintRequest, type Subject, signUp } from './subjects.ts';

const SIZES = [10_000, 1_000_000, 5_000_000];
const AT_ONCE = 250_000;
const PLAN = { connections: [100], rounds: 3, seconds: 2 };

/** Shorter than it takes to ask for every session of the smallest table. */
const EMPTY_CACHE_EVERY_MS = 500;

leaveServerCore();
const place = await createPlace();
const emptying = setInterval(place.emptyCache, EMPTY_CACHE_EVERY_MS);
try {
  const [floors, server] = [await place.startFloors(), await place.startServer()];
  const visitor = await signUp(server.url);
  let stored = 0;
  const hit = mintRequest(server.url, visitor);
  const nextHeaders = cookiesInTurn(visitor, () => stored);
  const subjects: Subject[] = [
    { name: FLOOR, server: floors, request: { ...hit, url: `${floors.url}/get-sign` } },
    { name: '/token, hit', server, request: hit },
    { name: '/token, miss', server, request: { ...hit, nextHeaders } },
  ];
  for (const size of SIZES) {
    for (; stored < size; stored += Math.min(AT_ONCE, size - stored))
      await storeSessions(place.sql, stored, Math.min(AT_ONCE, size - stored));
    await place.sql.unsafe('vacuum analyze');
    const lines = await measureAll(subjects, PLAN, () => {});
    process.stdout.write(`${size} sessions\n${tableOf(lines)}\n\n`);
  }
} finally {
  clearInterval(emptying);
  await place.close();
}
