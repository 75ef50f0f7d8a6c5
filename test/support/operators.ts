import { randomBytes } from 'node:crypto';
import type { LightMyRequestResponse } from 'fastify';
import type { Test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { eq } from '../../src/db/drizzle.ts';
import { auditEvents, users } from '../../src/db/schema.ts';
import { openClientCommands } from '../../src/oauth/open-oauth.ts';
import { buildEmbedded, cookieHeader, cookieOf, signUp } from '../helper.ts';
import { basic, grantToken, mintToken } from './clients.ts';
import { createPlatform } from './platform.ts';

export const ISSUER = 'http://localhost:3000';

const EVERY_SCOPE = [
  'admin:users:read',
  'admin:users:write',
  'admin:sessions',
  'admin:audit',
  'admin:clients',
  'admin:keys',
];

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** An embedded server, and those who operate it: users with roles, and service clients with scopes. */
export async function openOperators(t: Test, settings: Record<string, string> = {}) {
  const built = await buildEmbedded(t, { AUDIENCES: 'shop,pay', ...settings });
  const { app, adapters } = built;
  const { database } = adapters;
  const platform = createPlatform(database, { config: { AUDIENCES: ['shop', 'pay'], PUBLIC_URL: ISSUER } });
  const commands = openClientCommands(platform, openAudit(platform).service, []);

  /** A new client with its credentials and a token; by default one that may do everything here. */
  const addClient = async ({ scopes = EVERY_SCOPE, audiences = [ISSUER] } = {}) => {
    const id = `client-${randomBytes(4).toString('hex')}`;
    const { client_secret } = await commands.add({ id, scopes, audiences }, OPERATOR);
    const authorization = basic(id, String(client_secret));
    return { id, authorization, bearer: `Bearer ${await grantToken(app, { authorization })}` };
  };
  /** A new user who has these roles from the start of the session on. */
  const addUser = async (roles: string[] = []) => {
    const { email, password, user } = await signUp(app);
    await database.update(users).set({ roles }).where(eq(users.id, user.id));
    const payload = { email, password };
    const cookie = cookieHeader(cookieOf(await app.inject({ method: 'POST', url: '/login', payload })).value);
    return {
      id: user.id as string,
      email,
      password,
      cookie,
      bearer: `Bearer ${await mintToken(app, cookie)}`,
    };
  };
  const root = await addClient();
  const call = (
    method: Method,
    url: string,
    { body, bearer = root.bearer }: { body?: object; bearer?: string } = {},
  ): Promise<LightMyRequestResponse> =>
    app.inject({ method, url, headers: { authorization: bearer }, ...(body && { payload: body }) });
  const eventsOf = async (kind: string) =>
    (await database.select().from(auditEvents).orderBy(auditEvents.id)).filter(
      (event) => event.kind === kind,
    );

  return { ...built, database, commands, addClient, addUser, root, call, eventsOf };
}
