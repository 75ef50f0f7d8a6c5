import { randomBytes, randomUUID } from 'node:crypto';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { Redis } from 'ioredis';
import { test } from 'tap';
import * as schema from '../../src/db/schema.ts';
import { build, cookieHeader, cookieOf, createPlace, type Place, runSql, type TestApp } from '../helper.ts';

const tables: PgTable[] = Object.values(schema);
const nameOf = (table: PgTable) => getTableConfig(table).name;

/** Tables with a row, or rows, for each user: by a foreign key, or by a column with that name. */
function tablesOfUsers(): string[] {
  const isOfUsers = (table: PgTable) => {
    const { columns, foreignKeys } = getTableConfig(table);
    return (
      table === schema.users ||
      columns.some(({ name }) => /(^|_)user_id$/.test(name)) ||
      foreignKeys.some((key) => key.reference().foreignTable === schema.users)
    );
  };
  return tables.filter(isOfUsers).map(nameOf);
}

/** What becomes of a user's rows. A table that is not here has been forgotten: say what an export shows of it. */
const EXPORTED_AS: Record<string, string> = {
  users: 'user',
  sessions: 'sessions',
  one_time_codes: 'codes',
  audit_events: 'audit_events',
};

/** Only ids stay here, and only these. */
const KEPT = {
  audit_events: [
    'id',
    'kind',
    'happened_at',
    'user_id',
    'actor_id',
    'actor_kind',
    'request_id',
    'session_id',
  ],
};

type Personal = { email: string; password: string; agent: string; name: string; hobby: string; ip: string };

/** A mail server that is away: mails wait in the outbox. */
const SETTINGS = { TRUSTED_PROXIES: '127.0.0.1', SMTP_URL: 'smtp://127.0.0.1:9', NODE_ENV: 'test' };

const createPerson = (): Personal => ({
  email: `${randomBytes(8).toString('hex')}@Example.com`,
  password: randomBytes(18).toString('base64url'),
  agent: `Lynx/${randomBytes(8).toString('hex')}`,
  name: `Ada ${randomBytes(8).toString('hex')}`,
  hobby: randomBytes(8).toString('hex'),
  ip: '203.0.113.77',
});

/** Uses what there is to use. @returns the cookie of the last session, and the id of the user */
async function useEverything({ app }: TestApp, place: Place, person: Personal) {
  const headers = { 'user-agent': person.agent, 'x-forwarded-for': person.ip };
  const send = (method: 'POST' | 'PATCH', url: string, payload: object, cookie?: string) =>
    app.inject({ method, url, payload, headers: { ...headers, ...(cookie && { cookie }) } });
  const { email, password } = person;
  const signedUp = await send('POST', '/signup', { email, password });
  const { id } = signedUp.json().user;
  await send('POST', '/login', { email, password: `${password}x` });
  const first = cookieHeader(cookieOf(signedUp).value);
  await send('POST', '/token', {}, first);
  await send('POST', '/logout', {}, first);
  const cookie = cookieHeader(cookieOf(await send('POST', '/login', { email, password })).value);
  await send('POST', '/token', {}, cookie);
  const profile = { display_name: person.name, locale: 'de', metadata: { hobby: person.hobby } };
  await send('PATCH', '/me', profile, cookie);
  await send('POST', '/password/forgot', { email });
  // As mails make them; the context names the next address.
  await runSql(
    place.DATABASE_URL,
    `insert into one_time_codes (id, user_id, purpose, email, link_hash, context, expires_at)
     values ('${randomUUID()}', '${id}', 'change_email', '${email.toLowerCase()}', sha256('${id}'),
       '{"new_email":"new-${email.toLowerCase()}"}', now() + interval '1 hour')`,
  );
  return { id, cookie, headers };
}

/** All that a database and a cache hold, as text. */
async function everything({ DATABASE_URL, REDIS_URL, REDIS_KEY_PREFIX }: Place): Promise<string> {
  const rows = await Promise.all(
    tables.map((table) =>
      runSql<{ text: string }>(DATABASE_URL, `select t::text as text from ${nameOf(table)} t`),
    ),
  );
  const redis = new Redis(REDIS_URL);
  try {
    const keys = await redis.keys(`${REDIS_KEY_PREFIX}*`);
    const values = await Promise.all(keys.map((key) => redis.getBuffer(key)));
    return [
      ...rows.flat().map(({ text }) => text),
      ...keys,
      ...values.map((value) => value?.toString('latin1') ?? ''),
    ].join('\n');
  } finally {
    redis.disconnect();
  }
}

/** In any case, and as the bytes of a bytea column. */
function traces(text: string, { password, ...personal }: Personal): string[] {
  const forms = (value: string) => [value.toLowerCase(), Buffer.from(value).toString('hex')];
  return Object.entries(personal)
    .filter(([, value]) => forms(value).some((form) => text.toLowerCase().includes(form)))
    .map(([name]) => name);
}

test('every table with rows of users is in the export, and says so here', (t) => {
  t.strictSame(tablesOfUsers().sort(), Object.keys(EXPORTED_AS).sort());
  t.end();
});

test('an export shows each row that is held on a user', async (t) => {
  const place = await createPlace(t);
  const server = await build(t, SETTINGS, place);
  const { id, cookie, headers } = await useEverything(server, place, createPerson());
  const held = (await server.app.inject({ url: '/me/export', headers: { ...headers, cookie } })).json();
  for (const [table, member] of Object.entries(EXPORTED_AS)) {
    const column = table === 'users' ? 'id' : 'user_id';
    const rows = await runSql<{ id: string }>(
      place.DATABASE_URL,
      `select id from ${table} where ${column} = '${id}' order by id`,
    );
    t.ok(rows.length > 0, `${table} has some`);
    const shown = [held[member]].flat().map((row: { id: string }) => row.id);
    t.strictSame(
      shown.sort(),
      rows.map((row) => row.id),
      table,
    );
  }
});

test('after a deletion nothing personal is left in any table or in Redis, and the audit has ids alone', async (t) => {
  const place = await createPlace(t);
  const server = await build(t, SETTINGS, place);
  const [person, bystander] = [createPerson(), { ...createPerson(), ip: '198.51.100.9' }];
  const { id, cookie, headers } = await useEverything(server, place, person);
  await useEverything(server, place, bystander);
  const all = ['agent', 'email', 'hobby', 'ip', 'name'];
  t.same(traces(await everything(place), person).sort(), all.sort(), 'all of it was there');

  const mails = async () => {
    const statement = `select id from outbox where kind = 'mail' and payload ->> 'userId' = '${id}' order by id`;
    return (await runSql<{ id: string }>(place.DATABASE_URL, statement)).map((row) => row.id);
  };
  const waiting = await mails();
  t.ok(waiting.length > 0, 'mails wait');

  await server.app.inject({ url: '/me/export', headers: { ...headers, cookie } });
  const deletion = { method: 'DELETE', url: '/me', headers: { ...headers, cookie } } as const;
  t.equal((await server.app.inject(deletion)).statusCode, 204);
  const left = await everything(place);
  t.same(traces(left, person), []);
  t.same(traces(left, bystander).sort(), all, 'and nothing of others is gone');
  const farewell = await mails();
  t.equal(farewell.length, 1, 'the one mail that is left says that the account is deleted');
  t.notOk(waiting.includes(String(farewell[0])));

  for (const table of tablesOfUsers()) {
    const column = table === 'users' ? 'id' : 'user_id';
    const rows = await runSql<Record<string, unknown>>(
      place.DATABASE_URL,
      `select * from ${table} where ${column} = '${id}'`,
    );
    if (!(table in KEPT)) t.same(rows, [], table);
    for (const row of rows)
      for (const [name, value] of Object.entries(row))
        if (!KEPT.audit_events.includes(name)) t.equal(value, null, `${table}.${name}`);
  }
});
