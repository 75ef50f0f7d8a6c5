import { createHash } from 'node:crypto';
import type { PendingQuery, Row, Sql, TransactionSql } from 'postgres';

/** Users that follow one another, and how many sessions each of them has. */
export type SeededUsers = {
  /** Number of the first user. */
  firstUser: number;
  /** Number of the first session of that user. */
  firstSession: number;
  sessionsOf: ArrayLike<number>;
  /** PHC string that they all have, so that all have one password. */
  passwordHash: string;
  /**
   * `mixed`: as in a table that has been in use for months, with sessions that are over and not yet swept.
   * `live`: all last used an hour ago, and each of them good.
   */
  ages: 'mixed' | 'live';
};

/** As a user's own bound is by default (SESSIONS_PER_USER): older ones have ended. */
const MOST_OPEN = 100;

/** The address of the user with that number. */
export function emailOf(user: number): string {
  return `user${user}@seed.example`;
}

/** The generate token of the session with that number: 43 characters, the same as in the rows. */
export function generateTokenOf(session: number): string {
  return createHash('sha256').update(`bench ${session}`).digest('base64url');
}

/**
 * Puts users and their sessions straight into the tables, in two statements. All that differs between rows comes from their
 * numbers, so the same call makes the same rows, but for the time.
 */
export async function insertSeeded(sql: Sql | TransactionSql, seeded: SeededUsers): Promise<void> {
  const counts = `{${Array.from(seeded.sessionsOf).join(',')}}`;
  const { firstUser, firstSession, passwordHash, ages } = seeded;
  await sql`
    insert into users (id, email, email_as_typed, password_hash, created_at, updated_at)
    select ${userId(sql)}, 'user' || i || '@seed.example', 'User' || i || '@seed.example', ${passwordHash},
           ${userMadeAt(sql)}, ${userMadeAt(sql)}
      from generate_series(${firstUser}::int, ${firstUser + seeded.sessionsOf.length - 1}::int) as i`;
  await sql`
    with counted as (
      select ${firstUser}::int + at::int - 1 as i, count,
             ${firstSession}::bigint + sum(count) over (order by at) - count as first
        from unnest(${counts}::text::int[]) with ordinality as given (count, at)
    ), numbered as (
      select i, (first + nth)::bigint as j, nth from counted, generate_series(0, count - 1) as nth
    ), aged as (
      select i, j, nth, ${ages === 'live' ? liveAges(sql) : mixedAges(sql)} from numbered
    )
    insert into sessions (id, user_id, generate_token, created_at, last_seen_at, expires_at, idle_expires_at,
                          ended_at, end_reason, ip, user_agent)
    select ${uuid7(sql, sql`created_at`, sql`'session' || j`)}, ${userId(sql)},
           sha256(convert_to(rtrim(translate(encode(sha256(convert_to('bench ' || j, 'UTF8')), 'base64'), '+/', '-_'), '='), 'UTF8')),
           created_at, last_seen_at, created_at + interval '30 days',
           least(created_at + interval '30 days', last_seen_at + interval '14 days'),
           ended_at, case when ended_at is not null then 'signed_out' end,
           '198.51.' || (j % 100) || '.' || (j % 251), (${USER_AGENTS}::text[])[1 + j % ${USER_AGENTS.length}::int]
      from aged`;
}

const USER_AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0',
];

type Client = Sql | TransactionSql;
type Fragment = PendingQuery<Row[]>;

/** A value from 0 to 1 of the session's number. @param salt makes another value of the same number */
const chance = (sql: Client, salt: number) =>
  sql`((hashint8extended(j, ${salt}::bigint) & 4503599627370495) / 4503599627370496.0)`;

const liveAges = (sql: Client) => sql`
  now() - interval '1 hour' as created_at, now() - interval '1 hour' as last_seen_at, null::timestamptz as ended_at`;

/**
 * Made at any time of the last 31 days, so that some have reached their absolute end; last used some days ago, three on the
 * average; one of twenty signed out within the last day, since what was over before that has been swept.
 */
const mixedAges = (sql: Client) => sql`
  now() - interval '31 days' * ${chance(sql, 1)} as created_at,
  now() - least(interval '31 days' * ${chance(sql, 1)}, interval '3 days' * -ln(1 - 0.993 * ${chance(sql, 2)}))
    as last_seen_at,
  case when nth >= ${MOST_OPEN}::int or ${chance(sql, 3)} < 0.05
    then now() - interval '23 hours' * ${chance(sql, 4)} end as ended_at`;

/** In the order of their numbers, as in a real table. */
const userMadeAt = (sql: Client) => sql`timestamptz '2025-01-01 00:00:00Z' + i * interval '3 seconds'`;

const userId = (sql: Client) => uuid7(sql, userMadeAt(sql), sql`'user' || i`);

/** As the server makes ids: the time first (RFC 9562), so that neighbours in time are neighbours in the index. */
function uuid7(sql: Client, at: Fragment, text: Fragment): Fragment {
  return sql`(lpad(to_hex((extract(epoch from ${at}) * 1000)::bigint), 12, '0') || '7' ||
    substr(md5(${text}), 1, 3) || '8' || substr(md5(${text}), 4, 15))::uuid`;
}
