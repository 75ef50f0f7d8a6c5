import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import Type, { type StaticDecode } from 'typebox';
import { SIGNING_ALGORITHMS } from '../core/jwk.ts';
import * as is from './config-formats.ts';

/** The environment, or settings as texts by their names. */
export type Texts = Record<string, string | undefined>;

/** A default that depends on the machine or on settings above it; `says` describes it in words. */
type Derived = { says: string; from: (texts: Texts) => string };

function setting<T>(format: is.Format<T>, fallback: string | Derived, description: string, secret = false) {
  const text = Type.Refine(Type.String(), format.accepts, () => format.expects);
  const { expects, respell, problem, show } = format;
  const documentation = { fallback, description, expects, respell, problem, show, secret };
  return Object.assign(Type.Decode(text, format.decode), documentation);
}

/** A setting that is never shown, has no default and may come from a file: FOO_FILE. */
function secret<T>(format: is.Format<T>, description: string) {
  return setting(is.optional(format), '', description, true);
}

const localUrl: Derived = {
  says: 'http://localhost:PORT, and PATH_PREFIX; none in production',
  from: ({ PORT, PATH_PREFIX = '' }) => String(is.normalHttpUrl(`http://localhost:${PORT}${PATH_PREFIX}`)),
};
const publicOrigin: Derived = {
  says: 'the origin of PUBLIC_URL',
  from: ({ PUBLIC_URL = '' }) => URL.parse(PUBLIC_URL)?.origin ?? '',
};
const publicHostSender: Derived = {
  says: 'Doorward <doorward@HOST>, with the host of PUBLIC_URL',
  from: ({ PUBLIC_URL = '' }) => `Doorward <doorward@${URL.parse(PUBLIC_URL)?.hostname}>`,
};
const unlessConnected: Derived = {
  says: 'true outside production while DATABASE_URL and REDIS_URL are unset',
  from: ({ NODE_ENV, DATABASE_URL, REDIS_URL }) =>
    String(NODE_ENV !== 'production' && !DATABASE_URL && !REDIS_URL),
};
const onWhereEmbedded: Derived = {
  says: 'on with EMBEDDED outside production, otherwise off',
  from: ({ NODE_ENV, EMBEDDED }) => (NODE_ENV !== 'production' && EMBEDDED === 'true' ? 'on' : 'off'),
};
const spareCores: Derived = {
  says: 'one less than the cores, divided by WORKERS, at least 1',
  from: ({ WORKERS }) => String(Math.max(1, Math.floor((availableParallelism() - 1) / Number(WORKERS)))),
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
const isMailbox = (text: string) => /^[\w.+-]+@[a-z\d.-]+$/i.test(text);
const sender = is.text('an address, or a name and an address: Shop <accounts@example.com>', (text) =>
  isMailbox(/^[^<>"@,;:\\\p{C}]+ <(.+)>$/u.exec(text)?.[1] ?? text),
);
const folder = is.text('a path', (text) => !/\p{Cc}/u.test(text));
const hashMemory = is.integer(7168, 1_048_576);
const rateLimit = is.integer(0, 100_000);
const origins = is.list('exact origins such as https://app.example.com', is.isWebOrigin);
const addresses = is.list('IP addresses and CIDR blocks', is.isAddressBlock);
const eventTypes = is.list('types such as user.deleted, user.*, audit.session.* and *', is.isEventPattern);

// The settings: format, default, meaning. A default may only depend on settings above its own line.

const server = {
  NODE_ENV: setting(environment, 'development', 'What the server runs for'),
  HOST: setting(host, '127.0.0.1', 'Address to listen on'),
  PORT: setting(is.integer(0, 65_535), '3000', 'Port to listen on; 0 takes any free one'),
  WORKERS: setting(is.integer(1, 256), '1', 'Processes that share the port, for one big machine'),
  PATH_PREFIX: setting(pathPrefix, '', 'Path under which requests reach this server'),
  PUBLIC_URL: setting(is.httpUrl, localUrl, 'URL that clients see, path prefix included; it is the issuer'),
  APP_ORIGINS: setting(origins, publicOrigin, 'Origins of the pages that may call with the cookie'),
  TRUSTED_PROXIES: setting(
    addresses,
    '',
    'Proxies whose X-Forwarded-For, X-Request-Id and traceparent are believed',
  ),
};

const databaseAndCache = {
  DATABASE_URL: secret(is.databaseUrl, 'PostgreSQL database; goes with REDIS_URL'),
  DATABASE_POOL_SIZE: setting(
    is.integer(1, 200),
    '10',
    'Database connections of one replica; with WORKERS, of each worker',
  ),
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
  REVOCATIONS: setting(
    is.oneOf('public', 'clients', 'off'),
    'public',
    'Who may read the feed of revocations, by which services that verify offline learn of sign-outs: anyone, service clients, or nobody',
  ),
  REVOCATION_STREAMS: setting(
    is.integer(0, 100_000),
    '2000',
    'Open streams of that feed at a replica, or at each worker with WORKERS; whoever comes after that polls',
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
  PASSWORD_HASH_THREADS: setting(
    is.integer(1, 1024),
    spareCores,
    'Passwords hashed at the same time by a worker',
  ),
  PASSWORD_BLOCKLIST_FILE: setting(
    is.optional(folder),
    '',
    'File in UTF-8 with words, one a line, that no password may be, such as names of the club; 1 MiB at most',
  ),
  PWNED_PASSWORDS_URL: setting(
    is.optional(is.baseUrl),
    '',
    'Range API of Pwned Passwords, such as https://api.pwnedpasswords.com: leaked passwords are refused; unset: none is asked',
  ),
  CREDENTIAL_RATE_LIMIT: setting(rateLimit, '30', 'Sign-ins and sign-ups a minute per address; 0: no limit'),
  MAX_EVENT_LOOP_DELAY: setting(
    is.duration('0s', '60s'),
    '1s',
    'Lag of this process at which it answers 503 to new requests; 0s: never',
  ),
};

const accountsAndMail = {
  EMAIL_VERIFICATION: setting(
    is.oneOf('off', 'optional', 'required'),
    'off',
    'Whether new addresses are asked to be verified, and whether a session needs it',
  ),
  CODE_STYLE: setting(
    is.oneOf('both', 'link', 'code'),
    'both',
    'What mails carry: a link, a code for typing, or both',
  ),
  PUBLIC_APP_URL: setting(
    is.optional(is.httpUrl),
    '',
    'Base of the pages that mails link to, such as /reset under it; unset: the pages of this server',
  ),
  SMTP_URL: secret(is.smtpTarget, 'Mail server; unset: no mails, or files in DATA_DIR with EMBEDDED'),
  MAIL_FROM: setting(sender, publicHostSender, 'Sender of the mails'),
  MAIL_TEMPLATES_DIR: setting(
    is.optional(folder),
    '',
    'Folder with templates that replace those of this server, file by file',
  ),
  UI_THEME_FILE: setting(
    is.optional(folder),
    '',
    'Style sheet that is added to that of the pages under /ui; it may set their custom properties alone',
  ),
  UI_TEXTS_DIR: setting(
    is.optional(folder),
    '',
    'Folder with texts of the pages under /ui, one file a language, such as de.json',
  ),
  MAILS_PER_ADDRESS: setting(is.integer(1, 1000), '10', 'Mails to one address in an hour, at most'),
  NEW_DEVICE_MAIL: setting(
    is.flag,
    'true',
    'Whether the owner gets a mail after a sign-in from a device that was not seen before',
  ),
  ACCOUNT_DELETION_DELAY: setting(
    is.duration('0s', '90d'),
    '0s',
    'Time in which the owner can undo the deletion of an account; 0s: it is deleted at once',
  ),
  AUDIT_RETENTION: setting(
    is.duration('30d', '3650d'),
    '400d',
    'Time that the record of what happened is kept; older events are deleted',
  ),
};

const operations = {
  STARTUP_TIMEOUT: setting(
    is.duration('0s', '1h'),
    '60s',
    'Time that a start waits for PostgreSQL that cannot be used yet, and for Redis, but not longer than 10s for that',
  ),
  DRAIN_DELAY: setting(is.duration('0s', '10m'), '5s', 'Time to go on serving after SIGTERM'),
  LOG_LEVEL: setting(logLevel, 'info', 'Least severe log lines to write'),
  METRICS_PORT: setting(
    is.optional(is.integer(0, 65_535)),
    '',
    'Port on HOST for the metrics of Prometheus, 0 takes any free one; unset: no metrics',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    is.optional(is.baseUrl),
    '',
    'OpenTelemetry collector (OTLP over HTTP) that traces go to, under `/v1/traces`; unset: no traces',
  ),
};

const operators = {
  ADMIN_CONSOLE: setting(
    is.oneOf('on', 'off'),
    onWhereEmbedded,
    'Whether operators find the console, a page in the browser, at `/admin/ui`',
  ),
  ADMIN_MAX_AUTH_AGE: setting(
    is.duration('1m', '400d'),
    '15m',
    'How long ago an operator may have signed in to change something through `/admin` with their own token',
  ),
};

const events = {
  EVENTS_WEBHOOK_URL: secret(
    is.webhookUrl,
    'URL that is told what happens to users, as Standard Webhooks; goes with EVENTS_WEBHOOK_SECRET; unset: none is',
  ),
  EVENTS_WEBHOOK_SECRET: secret(is.webhookSecrets, 'Signs what is sent to EVENTS_WEBHOOK_URL'),
  EVENTS_WEBHOOK_TYPES: setting(
    eventTypes,
    'user.*',
    'What it is told: types, beginnings of types, `audit.*` for the whole audit, `*` for all',
  ),
};

/** Every setting. */
export const Settings = Type.Object({
  ...server,
  ...databaseAndCache,
  ...sessionsAndCookies,
  ...tokensAndKeys,
  ...passwordsAndLimits,
  ...accountsAndMail,
  ...operations,
  ...operators,
  ...events,
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
  sectionOf('Accounts and mail', accountsAndMail),
  sectionOf('Operations', operations),
  sectionOf('Operators', operators),
  sectionOf('Events', events),
];

function sectionOf(title: string, settings: Partial<typeof Settings.properties>) {
  return { title, names: Object.keys(settings) as SettingName[] };
}
