import type { Test } from 'tap';
import { asc, eq, sql } from '../../src/db/drizzle.ts';
import { auditEvents, users } from '../../src/db/schema.ts';
import { buildEmbedded, cookieHeader, cookieOf, signUp } from '../helper.ts';
import { mintToken } from './clients.ts';
import { catchMails } from './mail-catcher.ts';

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** An embedded server with an admin who has just signed in, and with its mails. */
export async function openAdminWorld(t: Test, settings: Record<string, string> = {}) {
  const catcher = await catchMails(t);
  const built = await buildEmbedded(t, {
    ...{ SMTP_URL: catcher.smtpUrl, NEW_DEVICE_MAIL: 'false', EMAIL_VERIFICATION: 'off' },
    ...settings,
  });
  const { app } = built;
  const { database } = built.adapters;
  const admin = await signUp(app);
  await database
    .update(users)
    .set({ roles: ['admin'] })
    .where(eq(users.id, admin.user.id));
  const signIn = (credentials: { email: string; password: string }) =>
    app.inject({
      ...{ method: 'POST', url: '/login' },
      payload: { email: credentials.email, password: credentials.password },
    });
  const bearerOf = async (credentials: { email: string; password: string }) =>
    `Bearer ${await mintToken(app, cookieHeader(cookieOf(await signIn(credentials)).value))}`;
  let bearer = await bearerOf(admin);

  return {
    ...built,
    ...{ admin, database, catcher, signIn, bearerOf },
    call: (method: Method, url: string, payload?: object, authorization = bearer) =>
      app.inject({ method, url: `/admin${url}`, headers: { authorization }, ...(payload && { payload }) }),
    /** For after a long time: whoever writes must have signed in lately. */
    signInAgain: async () => {
      bearer = await bearerOf(admin);
    },
    /** What the audit has of a user, the oldest first. */
    eventsOf: (userId: string) =>
      database.select().from(auditEvents).where(eq(auditEvents.userId, userId)).orderBy(asc(auditEvents.id)),
    rowOf: async (userId: string) => {
      const [row] = await database.select().from(users).where(eq(users.id, userId));
      return row;
    },
    /** How many sessions of the user are open. */
    openSessions: async (userId: string) => {
      const statement = sql`select count(*)::int as n from sessions where user_id = ${userId} and ended_at is null`;
      const result = (await database.execute(statement)) as unknown as { rows: { n: number }[] };
      return result.rows[0]?.n;
    },
  };
}
