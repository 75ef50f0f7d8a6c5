/**
 * `npm run bench:enumeration`: whether an answer, or its time, tells what is known of an address. Each route is asked for
 * addresses of every kind in turn, in a new random order each time, and each kind is compared with unknown addresses.
 * Exits with 1 when bytes differ, or the median difference is a millisecond or more.
 *
 * Arguments: the number of pairs (2000), and parts of the names of routes, to ask only those.
 */
import { randomInt } from 'node:crypto';
import { hashSync } from '@node-rs/argon2';
import { catchMails } from '../test/support/mail-catcher.ts';
import { createPlace, type Place } from './place.ts';
import { median } from './report.ts';

/** What there may be to know of an address. */
type Kind = 'unknown' | 'known' | 'awaited' | 'banned' | 'unverified' | 'throttled' | 'throttled, unknown';
type Route = { name: string; path: string; body(email: string): object; against: [Kind, Kind[]] };
type Answer = { ms: number; bytes: string };

const PAIRS = Number(process.argv[2] ?? 2_000);
const ONLY = process.argv.slice(3);
const ALLOWED_MS = 1;
const WARM_UP = 50;
/** Wrong passwords until an address is throttled, and as many mails. */
const BUDGET = 10;
const PASSWORD = 'a rather long wrong password';
const LETTERS: Record<Kind, string> = {
  ...{ unknown: 'n', known: 'k', awaited: 'a', banned: 'b', unverified: 'u', throttled: 't' },
  'throttled, unknown': 'x',
};
/** Those of `awaited` have a code that was sent to them. */
const STORED: Kind[] = ['known', 'awaited', 'banned', 'unverified', 'throttled'];

const ofMailKinds: Route['against'] = ['unknown', ['known', 'banned', 'unverified', 'throttled']];
const ROUTES: Route[] = [
  {
    name: 'sign-in',
    path: '/login',
    body: (email) => ({ email, password: PASSWORD }),
    against: ['unknown', ['known', 'banned', 'unverified']],
  },
  {
    name: 'sign-in, throttled',
    path: '/login',
    body: (email) => ({ email, password: PASSWORD }),
    against: ['throttled, unknown', ['throttled']],
  },
  { name: 'forgot', path: '/password/forgot', body: (email) => ({ email }), against: ofMailKinds },
  { name: 'resend', path: '/email/verify/send', body: (email) => ({ email }), against: ofMailKinds },
  {
    name: 'sign-up',
    path: '/signup',
    body: (email) => ({ email, password: PASSWORD }),
    against: ofMailKinds,
  },
  {
    name: 'wrong code',
    path: '/password/reset',
    body: (email) => ({ email, code: 'ABCDEFGH', password: PASSWORD }),
    against: ['unknown', ['known', 'awaited']],
  },
];

const undone: (() => unknown)[] = [];
const catcher = await catchMails({ teardown: (undo) => void undone.push(undo) });
const place = await createPlace();
try {
  const settings = {
    EMAIL_VERIFICATION: 'required',
    SMTP_URL: catcher.smtpUrl,
    MAILS_PER_ADDRESS: String(BUDGET),
  };
  const server = await place.startServer(settings, { pinned: false });
  await addAccounts(place);
  const routes = ROUTES.filter(({ name }) => ONLY.length === 0 || ONLY.some((part) => name.includes(part)));
  write(['route', 'address', 'against', 'bytes', 'median ms', 'difference ms', 'mean of the middle half']);
  for (const route of routes) await compare(server.url, route);
} finally {
  await place.close();
  for (const undo of undone) await undo();
}

/** Enough accounts that no address is asked for twice, but for those that are throttled. */
async function addAccounts({ sql }: Place): Promise<void> {
  const hash = hashSync('the right password', { memoryCost: 19_456, timeCost: 2, parallelism: 1 });
  for (const kind of STORED) {
    const status = kind === 'banned' ? 'banned' : 'active';
    await sql`
      insert into users (id, email, email_as_typed, password_hash, status, email_verified_at)
      select gen_random_uuid(), address, address, ${hash}, ${status},
             case when ${kind !== 'unverified'} then now() end
        from (select ${LETTERS[kind]} || lpad(at::text, 9, '0') || '@bench.example' as address
                from generate_series(0, ${(PAIRS + WARM_UP) * ROUTES.length}) as at) as addresses`;
  }
  await sql`
    insert into one_time_codes (id, user_id, purpose, email, typed_hash, context, expires_at)
    select gen_random_uuid(), id, 'reset_password', email, sha256(id::text::bytea), '{}', now() + interval '1 day'
      from users where email like ${`${LETTERS.awaited}%`}`;
  await sql`analyze users, one_time_codes`;
}

/** @param at an address that was not asked for yet; those that are throttled are one each */
function addressOf(kind: Kind, at: number): string {
  const number = kind.startsWith('throttled') ? 0 : at;
  return `${LETTERS[kind]}${String(number).padStart(9, '0')}@bench.example`;
}

async function compare(url: string, route: Route): Promise<void> {
  const [base, others] = route.against;
  const kinds = [base, ...others];
  const offset = ROUTES.indexOf(route) * (PAIRS + WARM_UP);
  for (const kind of kinds.filter((one) => one.startsWith('throttled')))
    for (let at = 0; at <= BUDGET; at += 1) await ask(url, route, addressOf(kind, 0));
  const answers = new Map<Kind, Answer[]>(kinds.map((kind) => [kind, []]));
  for (let at = 0; at < PAIRS + WARM_UP; at += 1)
    for (const kind of shuffled(kinds)) {
      const answer = await ask(url, route, addressOf(kind, offset + at));
      if (at >= WARM_UP) answers.get(kind)?.push(answer);
    }
  for (const kind of others) show(route, kind, answers.get(kind) ?? [], base, answers.get(base) ?? []);
}

function show(route: Route, kind: Kind, own: Answer[], base: Kind, compared: Answer[]): void {
  const differences = own.map(({ ms }, at) => ms - (compared[at]?.ms ?? Number.NaN));
  const sorted = differences.toSorted((a, b) => a - b);
  const middle = sorted.slice(Math.floor(sorted.length / 4), Math.ceil((sorted.length * 3) / 4));
  const mean = middle.reduce((sum, one) => sum + one, 0) / middle.length;
  const isSame = new Set([...own, ...compared].map(({ bytes }) => bytes)).size === 1;
  const difference = median(differences);
  if (!isSame || !(Math.abs(difference) < ALLOWED_MS)) process.exitCode = 1;
  write([
    ...[route.name, kind, base, isSame ? `equal (${own[0]?.bytes.slice(0, 3)})` : 'DIFFERENT'],
    ...[median(own.map(({ ms }) => ms)).toFixed(2), difference.toFixed(3), mean.toFixed(3)],
  ]);
}

async function ask(url: string, { path, body }: Route, email: string): Promise<Answer> {
  const startedAt = performance.now();
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body(email)),
  });
  const text = await response.text();
  return { ms: performance.now() - startedAt, bytes: `${response.status} ${headersOf(response)} ${text}` };
}

/** In a random order, so that no kind always comes after the same other one. */
function shuffled<T>(values: T[]): T[] {
  const keyed = values.map((value) => ({ value, key: randomInt(2 ** 32) }));
  return keyed.sort((one, other) => one.key - other.key).map(({ value }) => value);
}

/** Names of headers, and the lengths of their values. Those of `Retry-After` follow from the time, of known addresses or not. */
function headersOf({ headers }: Response): string {
  const lines = [...headers].map(([name, value]) =>
    name === 'retry-after' ? name : `${name}:${value.length}`,
  );
  return lines.sort().join(' ');
}

function write(cells: string[]): void {
  const widths = [20, 14, 20, 14, 11, 15, 0];
  process.stdout.write(`${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('')}\n`);
}
