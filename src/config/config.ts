import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import Type, { type StaticDecode } from 'typebox';
import Value from 'typebox/value';
import { SIGNING_ALGORITHMS } from '../core/jwk.ts';
import { isLoopbackHost } from '../core/loopback.ts';
import * as is from './config-formats.ts';
import { leastHashIterations, leastHashMemoryKib } from './hash-strength.ts';

type Texts = Record<string, string | undefined>;

/** A default that depends on the machine or on settings above it; `says` describes it in words. */
type Derived = { says: string; from: (texts: Texts) => string };

function setting<T>(format: is.Format<T>, fallback: string | Derived, description: string, secret = false) {
  const text = Type.Refine(Type.String(), format.accepts, () => format.expects);
  const { expects, respell, problem } = format;
  const documentation = { fallback, description, expects, respell, problem, secret };
  return Object.assign(Type.Decode(text, format.decode), documentation);
}

/** A setting that is never shown, has no default and may come from a file: FOO_FILE. */
function secret<T>(format: is.Format<T>, description: string) {
  return setting(is.optional(format), '', description, true);
}

const localUrl: Derived = {
  says: 'http://localhost:PORT, and PATH_PREFIX',
  from: ({ PORT, PATH_PREFIX = '' }) => String(is.normalHttpUrl(`http://localhost:${PORT}${PATH_PREFIX}`)),
};
const publicOrigin: Derived = {
  says: 'the origin of PUBLIC_URL',
  from: ({ PUBLIC_URL = '' }) => URL.parse(PUBLIC_URL)?.origin ?? '',
};
const unlessConnected: Derived = {
  says: 'true outside production while DATABASE_URL and REDIS_URL are unset',
  from: ({ NODE_ENV, DATABASE_URL, REDIS_URL }) =>
    String(NODE_ENV !== 'production' && !DATABASE_URL && !REDIS_URL),
};
const spareCores: Derived = {
  says: 'one less than the cores, at least 1',
  from: () => String(Math.max(1, availableParallelism() - 1)),
};

const environment = is.oneOf('development', 'production', 'test');
const algorithm = is.oneOf(...SIGNING_ALGORITHMS);
const assertionAudience = is.oneOf('issuer', 'endpoint');
const cookieMode = is.oneOf('host', 'secure', 'insecure');
const logLevel = is.oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent');
const host = is.text('an IP address or host name', (text) => isIP(text) !== 0 || /^[\w.-]+$/.test(text));
const domain = is.text('a domain name', (text) => /^([a-z\d-]+\.)+[a-z][a-z\d-]*$/i.test(text));
const pathPrefix = is.text('empty, or a path such as /auth', (text) => /^(\/[\w~-][\w.~-]*)*$/.test(text));
const word = is.text('printable ASCII without spaces', (text) => /^[!-~]+$/.test(text));
const oneAudience = is.text('one of AUDIENCES', (text) => !text.includes(','));
const folder = is.text('a path', (text) => !/\p{Cc}/u.test(text));
const hashMemory = is.integer(7168, 1_048_576);
const rateLimit = is.integer(0, 100_000);
const origins = is.list('exact origins such as https://app.example.com', is.isWebOrigin);
const addresses = is.list('IP addresses and CIDR blocks', is.isAddressBlock);

// The settings: format, default, meaning. A default may only depend on settings above its own line.

const server = {
  NODE_ENV: setting(environment, 'development', 'What the server runs for'),
  HOST: setting(host, '127.0.0.1', 'Address to listen on'),
  PORT: setting(is.integer(0, 65_535), '3000', 'Port to listen on; 0 takes any free one'),
  PATH_PREFIX: setting(pathPrefix, '', 'Path under which requests reach this server'),
  PUBLIC_URL: setting(is.httpUrl, localUrl, 'URL that clients see, path prefix included; it is the issuer'),
  APP_ORIGINS: setting(origins, publicOrigin, 'Origins of the pages that may call with the cookie'),
  TRUSTED_PROXIES: setting(addresses, '', 'Proxies whose X-Forwarded-For is believed'),
};

const databaseAndCache = {
  DATABASE_URL: secret(is.databaseUrl, 'PostgreSQL database; goes with REDIS_URL'),
  DATABASE_POOL_SIZE: setting(is.integer(1, 200), '10', 'Database connections of one replica'),
  REDIS_URL: secret(is.redisTarget, 'Redis: one server, Sentinel or a cluster'),
  REDIS_KEY_PREFIX: setting(word, 'doorward:', 'Start of every key in Redis'),
  EMBEDDED: setting(is.flag, unlessConnected, 'Run on a database inside the process, kept in DATA_DIR'),
  DATA_DIR: setting(folder, './data', 'Folder of the embedded database'),
  MIGRATE_ON_START: setting(is.flag, 'true', 'Bring the database schema up to date at start'),
};

const sessionsAndCookies = {
  SESSION_TTL: setting(is.duration('1m', '400d'), '30d', 'Life of a session, used or not'),
  SESSION_IDLE_TTL: setting(is.duration('15m', '400d'), '14d', 'Life of a session that is not used'),
  SESSIONS_PER_USER: setting(
    is.integer(0, 100_000),
    '100',
    'Sessions that one user may have; a new one ends the oldest; 0: no bound',
  ),
  COOKIE_MODE: setting(cookieMode, 'host', 'Name prefix: __Host-, __Secure-, or none, for plain http'),
  COOKIE_DOMAIN: setting(is.optional(domain), '', 'Domain that shares the cookie; with COOKIE_MODE=secure'),
  COOKIE_SAME_SITE: setting(is.oneOf('lax', 'strict', 'none'), 'lax', 'SameSite attribute of the cookie'),
};

const tokensAndKeys = {
  AUDIENCES: setting(is.audiences, 'api', 'Services that access tokens are for'),
  DEFAULT_AUDIENCE: setting(
    is.optional(oneAudience),
    '',
    'Service that an access token is for when the request names none; unset: all of AUDIENCES',
  ),
  CLIENT_ID: setting(word, 'browser', 'client_id claim of the tokens of browsers'),
  CLIENT_ASSERTION_AUDIENCE: setting(
    assertionAudience,
    'issuer',
    'What a private_key_jwt assertion may be for: the issuer alone, or the URL of the endpoint as well',
  ),
  ACCESS_TOKEN_TTL: setting(is.duration('1m', '24h'), '30m', 'Life of an access token'),
  ACCESS_TOKEN_REUSE: setting(
    is.duration('0s', '30s'),
    '0s',
    'How long a session that asks again may get the same access token; 0s: a new one each time',
  ),
  SIGNING_ALGORITHM: setting(algorithm, 'ES256', 'Algorithm of new signing keys; a change is a rotation'),
  KEY_ROTATION_EVERY: setting(is.duration('30s', '400d'), '30d', 'Time that a signing key signs'),
  KEY_PUBLISH_AHEAD: setting(is.duration('30s', '30d'), '15m', 'Time that a key is public before it signs'),
  KEY_RETAIN: setting(is.duration('1m', '60d'), '45m', 'Time that a key stays public after it signed last'),
  JWKS_MAX_AGE: setting(is.duration('1s', '10m'), '10m', 'How long services may keep the public keys'),
  KEY_ENCRYPTION_KEY: secret(
    is.key256,
    'Encrypts signing keys; required unless EMBEDDED, which makes its own',
  ),
  KEY_ENCRYPTION_KEY_PREVIOUS: secret(is.key256, 'The one before, until `doorward keys rewrap` has run'),
};

const passwordsAndLimits = {
  PASSWORD_MIN_LENGTH: setting(is.integer(8, 64), '8', 'Characters; NIST asks 15 for password-only sign-in'),
  PASSWORD_HASH_MEMORY_KIB: setting(hashMemory, '19456', 'Argon2id memory of one hash, in KiB'),
  PASSWORD_HASH_ITERATIONS: setting(is.integer(1, 20), '2', 'Argon2id passes over that memory'),
  PASSWORD_HASH_THREADS: setting(is.integer(1, 1024), spareCores, 'Passwords hashed at the same time'),
  CREDENTIAL_RATE_LIMIT: setting(rateLimit, '30', 'Sign-ins and sign-ups a minute per address; 0: no limit'),
  MAX_EVENT_LOOP_DELAY: setting(
    is.duration('0s', '60s'),
    '1s',
    'Lag of this process at which it answers 503 to new requests; 0s: never',
  ),
};

const operations = {
  DRAIN_DELAY: setting(is.duration('0s', '10m'), '5s', 'Time to go on serving after SIGTERM'),
  LOG_LEVEL: setting(logLevel, 'info', 'Least severe log lines to write'),
};

/** Every setting. */
export const Settings = Type.Object({
  ...server,
  ...databaseAndCache,
  ...sessionsAndCookies,
  ...tokensAndKeys,
  ...passwordsAndLimits,
  ...operations,
});

/** Durations in milliseconds, lists as arrays, keys as bytes; named as in the environment. */
export type Config = StaticDecode<typeof Settings>;
export type SettingName = keyof Config;

export const settingNames = Object.keys(Settings.properties) as SettingName[];

/** The settings in groups, for the documentation. */
export const settingSections = [
  sectionOf('Server', server),
  sectionOf('Database and cache', databaseAndCache),
  sectionOf('Sessions and cookies', sessionsAndCookies),
  sectionOf('Tokens and keys', tokensAndKeys),
  sectionOf('Passwords and limits', passwordsAndLimits),
  sectionOf('Operations', operations),
];

function sectionOf(title: string, settings: Partial<typeof Settings.properties>) {
  return { title, names: Object.keys(settings) as SettingName[] };
}

/** A rule over several settings, reported under the first. It is checked only if all of them are valid. */
type Rule = {
  reads: [SettingName, ...SettingName[]];
  broken: (config: Config) => boolean;
  message: (config: Config) => string;
};

/** Lets `broken` and `message` see only the settings that the rule says it reads. */
function rule<Name extends SettingName>(
  reads: [Name, ...Name[]],
  broken: (config: Pick<Config, Name>) => boolean,
  message: string | ((config: Pick<Config, Name>) => string),
): Rule {
  return { reads, broken, message: typeof message === 'string' ? () => message : message };
}

function isPlainHttpAbroad(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && !isLoopbackHost(hostname);
}

/** Time for delays between replicas: the poll for changed keys, a query, a running request. */
export const KEY_MARGIN_MS = 10_000;
/** Stock `jose` waits this long between two fetches of a key set. */
const JWKS_COOLDOWN_MS = 30_000;

/** Rules that no single format can express. */
const rules = [
  rule(
    ['DATABASE_URL', 'REDIS_URL'],
    (c) => !c.DATABASE_URL !== !c.REDIS_URL,
    'goes with REDIS_URL; set both or neither',
  ),
  rule(
    ['DATABASE_URL', 'REDIS_URL', 'EMBEDDED'],
    (c) => !c.DATABASE_URL && !c.REDIS_URL && !c.EMBEDDED,
    'is required, with REDIS_URL, unless EMBEDDED=true',
  ),
  rule(
    ['EMBEDDED', 'DATABASE_URL', 'REDIS_URL'],
    (c) => c.EMBEDDED && (c.DATABASE_URL ?? c.REDIS_URL) !== undefined,
    'cannot be true together with DATABASE_URL or REDIS_URL; unset it or them',
  ),
  rule(
    ['KEY_ENCRYPTION_KEY', 'EMBEDDED'],
    (c) => !c.EMBEDDED && !c.KEY_ENCRYPTION_KEY,
    'is required unless EMBEDDED=true; make one with: openssl rand -base64 32',
  ),
  rule(
    ['COOKIE_DOMAIN', 'COOKIE_MODE'],
    (c) => (c.COOKIE_DOMAIN !== undefined) !== (c.COOKIE_MODE === 'secure'),
    'goes with COOKIE_MODE=secure; set both or neither',
  ),
  rule(
    ['COOKIE_SAME_SITE', 'COOKIE_MODE'],
    (c) => c.COOKIE_SAME_SITE === 'none' && c.COOKIE_MODE === 'insecure',
    'none needs a Secure cookie; set COOKIE_MODE to host or secure',
  ),
  rule(
    ['PUBLIC_URL', 'COOKIE_MODE', 'NODE_ENV'],
    (c) => c.NODE_ENV === 'production' && c.COOKIE_MODE !== 'insecure' && isPlainHttpAbroad(c.PUBLIC_URL),
    'must be https:// in production, because browsers drop Secure cookies over http (or set COOKIE_MODE=insecure)',
  ),
  rule(
    ['DEFAULT_AUDIENCE', 'AUDIENCES'],
    (c) => c.DEFAULT_AUDIENCE !== undefined && !c.AUDIENCES.includes(c.DEFAULT_AUDIENCE),
    'must be one of AUDIENCES',
  ),
  rule(
    ['SESSION_IDLE_TTL', 'SESSION_TTL'],
    (c) => c.SESSION_IDLE_TTL > c.SESSION_TTL,
    'must not be longer than SESSION_TTL; set it too',
  ),
  rule(
    ['ACCESS_TOKEN_TTL', 'SESSION_IDLE_TTL', 'SESSION_TTL'],
    (c) => c.ACCESS_TOKEN_TTL > Math.min(c.SESSION_IDLE_TTL, c.SESSION_TTL),
    'must not be longer than SESSION_IDLE_TTL or SESSION_TTL; lower it, or raise them',
  ),
  rule(
    ['KEY_PUBLISH_AHEAD', 'JWKS_MAX_AGE'],
    (c) => c.KEY_PUBLISH_AHEAD < c.JWKS_MAX_AGE + JWKS_COOLDOWN_MS + KEY_MARGIN_MS,
    'must be at least JWKS_MAX_AGE + 40s, or tokens are signed with keys that services do not have yet',
  ),
  rule(
    ['KEY_RETAIN', 'ACCESS_TOKEN_TTL'],
    (c) => c.KEY_RETAIN < c.ACCESS_TOKEN_TTL + 3 * KEY_MARGIN_MS,
    'must be at least ACCESS_TOKEN_TTL + 30s, or the key is deleted before its last tokens expire',
  ),
  rule(
    ['KEY_ROTATION_EVERY', 'KEY_PUBLISH_AHEAD'],
    (c) => c.KEY_ROTATION_EVERY < c.KEY_PUBLISH_AHEAD,
    'must not be shorter than KEY_PUBLISH_AHEAD',
  ),
  rule(
    ['PASSWORD_HASH_MEMORY_KIB', 'PASSWORD_HASH_ITERATIONS'],
    (c) => c.PASSWORD_HASH_MEMORY_KIB < leastHashMemoryKib(c.PASSWORD_HASH_ITERATIONS),
    (c) =>
      `is too weak with PASSWORD_HASH_ITERATIONS=${c.PASSWORD_HASH_ITERATIONS}; ` +
      `set it to at least ${leastHashMemoryKib(c.PASSWORD_HASH_ITERATIONS)}, ` +
      `or PASSWORD_HASH_ITERATIONS to at least ${leastHashIterations(c.PASSWORD_HASH_MEMORY_KIB)}`,
  ),
];

/** The settings cannot be used. The message has one line for each problem, and no secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(problems: string[]) {
    super(problems.join('\n'));
  }
}

type ReadFile = (path: string, encoding: 'utf8') => string;

/** One setting as the environment has it. If there is a problem, the text only shows that the setting was given. */
type Reading = { text: string; problem?: string };

/** Masks passwords: a URL may have one before its host or in its query, and may be put into any setting by mistake. */
function shown(text: string): string {
  const masked = text.replace(/\/\/.*@/s, '//…@').replace(/\?.+/s, '?…');
  return JSON.stringify(masked.slice(0, 100));
}

const NOT_SHOWN = 'the value (not shown)';

/** What a file of settings adds by mistake: some readers of such files keep quotes, and some editors add a line. */
function slipOf(text: string): string | null {
  if (text.trim() !== text) return 'has white space around it; remove it';
  return /^(["'`]).*\1$|^[“„‘].*[”“’]$/s.test(text) ? 'has quotes around it; remove them' : null;
}

function mismatch(name: SettingName, text: string): string | null {
  const schema = Settings.properties[name];
  if (Value.Check(schema, text)) return null;
  const problem = schema.problem?.(text);
  if (problem) return `is not accepted: ${problem}`;
  const instead = schema.respell?.(text);
  return `is not accepted; expected ${schema.expects}${instead ? `; write ${instead}` : ''}`;
}

function check(name: SettingName, text: string): Reading {
  const flaw = slipOf(text) ?? mismatch(name, text);
  if (flaw === null) return { text };
  const value = Settings.properties[name].secret ? NOT_SHOWN : shown(text);
  return { text, problem: `${name}: ${value} ${flaw}` };
}

/** The message never has the path: it could be the secret itself, put into the wrong variable. */
function readSecretFile(name: SettingName, path: string, readFile: ReadFile): Reading {
  const slip = slipOf(path);
  if (slip !== null) return { text: path, problem: `${name}_FILE: ${NOT_SHOWN} ${slip}` };
  try {
    const text = readFile(path, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return check(name, text);
    return { text: path, problem: `${name}_FILE: the file is empty; expected a file that holds ${name}` };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error';
    return { text: path, problem: `${name}_FILE: cannot be read (${code}); expected the path of a file` };
  }
}

function readSetting(name: SettingName, env: Texts, readFile: ReadFile): Reading | undefined {
  const text = env[name];
  const path = Settings.properties[name].secret ? env[`${name}_FILE`] : undefined;
  if (text && path)
    return { text, problem: `${name}: ${name}_FILE is set as well; expected only one of them` };
  if (path) return readSecretFile(name, path, readFile);
  return text ? check(name, text) : undefined;
}

function withDefaults(readings: Map<SettingName, Reading>): Texts {
  const texts: Texts = {};
  for (const name of settingNames) {
    const { fallback } = Settings.properties[name];
    const given = readings.get(name)?.text;
    texts[name] = given ?? (typeof fallback === 'string' ? fallback : fallback.from(texts));
  }
  return texts;
}

function readSettings(env: Texts, readFile: ReadFile): Map<SettingName, Reading> {
  const readings = new Map<SettingName, Reading>();
  for (const name of settingNames) {
    const reading = readSetting(name, env, readFile);
    if (reading) readings.set(name, reading);
  }
  return readings;
}

/** Leaves out invalid settings, and defaults that depend on them. */
function decodeSound(readings: Map<SettingName, Reading>): Partial<Config> {
  const texts = withDefaults(readings);
  const sound = settingNames.filter(
    (name) => !readings.get(name)?.problem && Value.Check(Settings.properties[name], texts[name]),
  );
  return Object.fromEntries(
    sound.map((name) => [name, Value.Decode(Settings.properties[name], texts[name])]),
  );
}

function brokenRules(config: Partial<Config>): string[] {
  return rules
    .filter(({ reads, broken }) => reads.every((name) => name in config) && broken(config as Config))
    .map(({ reads, message }) => `${reads[0]}: ${message(config as Config)}`);
}

/**
 * Reads every setting from the environment. An empty variable counts as unset; a secret FOO may come from the
 * file that FOO_FILE names.
 * @throws ConfigError, which lists all problems
 */
export function loadConfig(env: Texts, readFile: ReadFile = readFileSync): Config {
  const readings = readSettings(env, readFile);
  const config = decodeSound(readings);
  const problems = [...readings.values()].flatMap(({ problem }) => problem ?? []);
  problems.push(...brokenRules(config));
  if (problems.length > 0) throw new ConfigError(problems);
  return config as Config;
}
