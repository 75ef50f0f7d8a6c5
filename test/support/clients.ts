import type { LightMyRequestResponse } from 'fastify';
import { loadConfig } from '../../src/config/config.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { type Place, quickSettings, type TestApp } from '../helper.ts';

type App = TestApp['app'];

type Settings = Record<string, string>;

/** A service client with its secret. */
export type TestClient = { id: string; secret: string; authorization: string };

export type ClientWish = { id?: string; scopes?: string[]; audiences?: string[] };

/** Registers a client, like `doorward clients add`. @param settings of the server */
export async function addClient(
  place: Place,
  settings: Settings,
  { id = 'payments', scopes = [], audiences = ['payments'] }: ClientWish = {},
): Promise<TestClient> {
  const config = loadConfig({ ...quickSettings, ...place, ...settings });
  const { client_secret } = await runCommand(config, 'clients.add', { id, scopes, audiences });
  if (client_secret === null) throw new Error('the client has no secret');
  return { id, secret: client_secret, authorization: basic(id, client_secret) };
}

/** RFC 6749 §2.3.1. */
export function basic(id: string, secret: string): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll('%20', '+');
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`;
}

/** POSTs a form, as `/oauth/*` needs it. A list is a parameter that is sent several times. */
export function postForm(
  app: App,
  url: string,
  form: Record<string, string | string[]>,
  headers: Record<string, string> = {},
): Promise<LightMyRequestResponse> {
  const pairs = Object.entries(form).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value]),
  );
  return app.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(pairs).toString(),
  });
}

/** A token of the user whose cookie this is. */
export async function mintToken(app: App, cookie: string, wish: object = {}): Promise<string> {
  const response = await app.inject({ method: 'POST', url: '/token', headers: { cookie }, payload: wish });
  if (response.statusCode !== 200) throw new Error(`no token: ${response.body}`);
  return response.json().access_token;
}

/** A token of the client for itself. */
export async function grantToken(
  app: App,
  { authorization }: Pick<TestClient, 'authorization'>,
): Promise<string> {
  const form = { grant_type: 'client_credentials' };
  const response = await postForm(app, '/oauth/token', form, { authorization });
  if (response.statusCode !== 200) throw new Error(`no token: ${response.body}`);
  return response.json().access_token;
}
