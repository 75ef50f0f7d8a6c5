import { isLoopbackHost } from '../core/loopback.ts';
import { leastHashIterations, leastHashMemoryKib } from './hash-strength.ts';
import type { Config, SettingName } from './settings.ts';

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
    ['WORKERS', 'EMBEDDED'],
    (c) => c.WORKERS > 1 && c.EMBEDDED,
    'must be 1 with EMBEDDED=true, because the embedded database belongs to one process; set DATABASE_URL and REDIS_URL',
  ),
  rule(
    ['METRICS_PORT', 'PORT'],
    (c) => c.METRICS_PORT === c.PORT && c.PORT !== 0,
    'must differ from PORT: metrics are never on the public port',
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
    // A gateway may take away what comes before the prefix; the prefix itself must be in the addresses of clients.
    ['PUBLIC_URL', 'PATH_PREFIX'],
    (c) => !new URL(c.PUBLIC_URL).pathname.endsWith(c.PATH_PREFIX),
    (c) =>
      `must end with PATH_PREFIX, or clients are sent to addresses that are not there; write ${c.PUBLIC_URL}${c.PATH_PREFIX}, ` +
      'or unset PATH_PREFIX if the gateway takes the path away',
  ),
  rule(
    ['EMAIL_VERIFICATION', 'SMTP_URL', 'EMBEDDED'],
    (c) => c.EMAIL_VERIFICATION !== 'off' && c.SMTP_URL === undefined && !c.EMBEDDED,
    'sends mails and needs SMTP_URL; set it, or EMAIL_VERIFICATION=off',
  ),
  rule(
    ['EVENTS_WEBHOOK_URL', 'EVENTS_WEBHOOK_SECRET'],
    (c) => !c.EVENTS_WEBHOOK_URL !== !c.EVENTS_WEBHOOK_SECRET,
    'goes with EVENTS_WEBHOOK_SECRET; set both or neither. Make a secret with: echo whsec_$(openssl rand -base64 32)',
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

/** The default is for development: in production, a made-up issuer would be in every token. */
function missingPublicUrl({ NODE_ENV }: Partial<Config>, given: ReadonlySet<SettingName>): string[] {
  if (NODE_ENV !== 'production' || given.has('PUBLIC_URL')) return [];
  return [
    'PUBLIC_URL: is required with NODE_ENV=production; set it to the URL that clients see, with PATH_PREFIX at its end, such as https://auth.example.com',
  ];
}

/**
 * What is wrong between settings that are each valid, one line each.
 * @param config without the settings that are not valid
 * @param given the settings that do not have their defaults
 */
export function brokenRules(config: Partial<Config>, given: ReadonlySet<SettingName>): string[] {
  const broken = rules
    .filter((rule) => rule.reads.every((name) => name in config) && rule.broken(config as Config))
    .map(({ reads, message }) => `${reads[0]}: ${message(config as Config)}`);
  return [...missingPublicUrl(config, given), ...broken];
}
