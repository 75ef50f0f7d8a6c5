import type { LightMyRequestResponse } from 'fastify';
import type { Test } from 'tap';
import { build, createPlace, newCredentials, type Place, runSql, type TestApp } from '../helper.ts';
import { eventually } from './adapters.ts';
import { catchMails } from './mail-catcher.ts';

type App = TestApp['app'];
type Headers = Record<string, string>;

export const post = (app: App, url: string, payload: object, headers: Headers = {}) =>
  app.inject({ method: 'POST', url, payload, headers });

/** A server that verifies addresses, and the mails that it sends. */
export async function openVerifying(t: Test, settings: Record<string, string> = {}, place?: Place) {
  const at = place ?? (await createPlace(t));
  const mails = await catchMails(t);
  const started = await build(
    t,
    { EMAIL_VERIFICATION: 'required', SMTP_URL: mails.smtpUrl, ...settings },
    at,
  );
  return { ...started, mails, place: at };
}

export type Verifying = Awaited<ReturnType<typeof openVerifying>>;

export type Browser = ReturnType<typeof browse>;

/** A browser keeps its cookies. */
export function browse(app: App) {
  const jar = new Map<string, string>();
  const keep = (response: LightMyRequestResponse) => {
    for (const { name, value, maxAge } of response.cookies) {
      if (maxAge === 0) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  };
  const cookie = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
  return {
    jar,
    post: async (url: string, payload: object) =>
      keep(await post(app, url, payload, jar.size > 0 ? { cookie: cookie() } : {})),
    get: (url: string) => app.inject({ url, headers: { cookie: cookie() } }),
  };
}

/** Makes an account whose address is verified, as its owner does. */
export async function enrol({ app, mails }: Verifying) {
  const credentials = newCredentials();
  const browser = browse(app);
  await browser.post('/signup', credentials);
  const { linkCode } = await mails.next(credentials.email);
  const response = await browser.post('/email/verify', { code: linkCode });
  if (response.statusCode !== 200) throw new Error(response.body);
  return { ...credentials, browser, user: response.json().user };
}

/** A whole response but for what differs in any two: the time, the id of the request, and the value of the cookie. */
export function bytesOf({ statusCode, statusMessage, headers, body }: LightMyRequestResponse): string {
  const lines = Object.entries(headers).map(([name, value]) => {
    if (name === 'date' || name === 'x-request-id') return name;
    return `${name}: ${String(value).replace(/(g_signup=)[\w-]{43}/, '$1…')}`;
  });
  return [statusCode, statusMessage, ...lines, '', body].join('\r\n');
}

/** Waits until all that was asked for has been done, and all mails have gone out. */
export function settled({ place }: Verifying): Promise<void> {
  return eventually(async () => {
    const waiting = await runSql(place.DATABASE_URL, 'select 1 from outbox');
    if (waiting.length > 0) throw new Error(`${waiting.length} messages are waiting`);
  });
}

/** Addresses of every kind, on one server. */
export async function addressesOfAllKinds(world: Verifying) {
  const [known, banned] = [await enrol(world), await enrol(world)];
  await runSql(
    world.place.DATABASE_URL,
    `update users set status = 'banned' where email = '${banned.email}'`,
  );
  const unverified = newCredentials();
  await browse(world.app).post('/signup', unverified);
  await world.mails.next(unverified.email);
  return { fresh: newCredentials(), known, unverified, banned };
}
