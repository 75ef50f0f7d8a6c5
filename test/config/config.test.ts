import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import fc from 'fast-check';
import t from 'tap';
import { type Config, ConfigError, loadConfig, type SettingName } from '../../src/config/config.ts';
import {
  describeSettings,
  settingsEnvExample,
  settingsMarkdown,
  settingsText,
} from '../../src/config/config-docs.ts';
import { settingNames } from '../../src/config/settings.ts';

type Env = Parameters<typeof loadConfig>[0];
type ReadFile = NonNullable<Parameters<typeof loadConfig>[1]>;

const dayMs = 86_400_000;
const newKey = () => randomBytes(32).toString('base64');
const secretNames = [
  'DATABASE_URL',
  'REDIS_URL',
  'KEY_ENCRYPTION_KEY',
  'KEY_ENCRYPTION_KEY_PREVIOUS',
  'SMTP_URL',
  'EVENTS_WEBHOOK_URL',
  'EVENTS_WEBHOOK_SECRET',
] as const;

/** Secrets of those to whom messages go. */
function outward(): Env {
  const webhooks = { EVENTS_WEBHOOK_URL: 'https://hooks.test', EVENTS_WEBHOOK_SECRET: `whsec_${newKey()}` };
  return { SMTP_URL: 'smtp://mail.test', ...webhooks };
}

function connected(overrides: Env = {}): Env {
  const urls = { DATABASE_URL: 'postgres://db.test/doorward', REDIS_URL: 'redis://cache.test' };
  const [KEY_ENCRYPTION_KEY, KEY_ENCRYPTION_KEY_PREVIOUS] = [newKey(), newKey()];
  return { ...urls, KEY_ENCRYPTION_KEY, KEY_ENCRYPTION_KEY_PREVIOUS, ...overrides };
}

/** The lines of the ConfigError, none when all is well. Any other error fails the test. */
function problemsOf(env: Env, readFile?: ReadFile): string[] {
  try {
    loadConfig(env, readFile);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n');
  }
}

/** The setting's value among defaults that suit it. */
function read(name: SettingName, text: string): unknown {
  const COOKIE_MODE = name === 'COOKIE_DOMAIN' ? 'secure' : 'host';
  const lives = { SESSION_TTL: '400d', ACCESS_TOKEN_TTL: '1m', KEY_RETAIN: '60d' };
  return loadConfig({ ...lives, COOKIE_MODE, [name]: text })[name];
}

t.test('an empty environment gives the defaults', async (t) => {
  t.strictSame(loadConfig({}), {
    NODE_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: 3000,
    PUBLIC_URL: 'http://localhost:3000',
    PATH_PREFIX: '',
    APP_ORIGINS: ['http://localhost:3000'],
    TRUSTED_PROXIES: [],
    DATABASE_URL: undefined,
    DATABASE_POOL_SIZE: 10,
    REDIS_URL: undefined,
    REDIS_KEY_PREFIX: 'doorward:',
    EMBEDDED: true,
    DATA_DIR: './data',
    MIGRATE_ON_START: true,
    KEY_ENCRYPTION_KEY: undefined,
    KEY_ENCRYPTION_KEY_PREVIOUS: undefined,
    AUDIENCES: ['api'],
    DEFAULT_AUDIENCE: undefined,
    CLIENT_ID: 'browser',
    CLIENT_ASSERTION_AUDIENCE: 'issuer',
    ACCESS_TOKEN_TTL: 1_800_000,
    ACCESS_TOKEN_REUSE: 0,
    SESSION_TTL: 30 * dayMs,
    SESSION_IDLE_TTL: 14 * dayMs,
    SESSIONS_PER_USER: 100,
    COOKIE_MODE: 'host',
    COOKIE_DOMAIN: undefined,
    COOKIE_SAME_SITE: 'lax',
    SIGNING_ALGORITHM: 'ES256',
    KEY_ROTATION_EVERY: 30 * dayMs,
    KEY_PUBLISH_AHEAD: 900_000,
    KEY_RETAIN: 2_700_000,
    JWKS_MAX_AGE: 600_000,
    PASSWORD_MIN_LENGTH: 8,
    PASSWORD_HASH_MEMORY_KIB: 19_456,
    PASSWORD_HASH_ITERATIONS: 2,
    PASSWORD_HASH_THREADS: Math.max(1, availableParallelism() - 1),
    PASSWORD_BLOCKLIST_FILE: undefined,
    PWNED_PASSWORDS_URL: undefined,
    CREDENTIAL_RATE_LIMIT: 30,
    MAX_EVENT_LOOP_DELAY: 1_000,
    EMAIL_VERIFICATION: 'off',
    CODE_STYLE: 'both',
    PUBLIC_APP_URL: undefined,
    SMTP_URL: undefined,
    MAIL_FROM: 'Doorward <doorward@localhost>',
    MAIL_TEMPLATES_DIR: undefined,
    UI_THEME_FILE: undefined,
    UI_TEXTS_DIR: undefined,
    MAILS_PER_ADDRESS: 10,
    NEW_DEVICE_MAIL: true,
    ACCOUNT_DELETION_DELAY: 0,
    AUDIT_RETENTION: 34_560_000_000,
    REVOCATIONS: 'public',
    REVOCATION_STREAMS: 2000,
    DRAIN_DELAY: 5000,
    WORKERS: 1,
    STARTUP_TIMEOUT: 60_000,
    LOG_LEVEL: 'info',
    METRICS_PORT: undefined,
    OTEL_EXPORTER_OTLP_ENDPOINT: undefined,
    ADMIN_CONSOLE: 'on',
    ADMIN_MAX_AUTH_AGE: 900_000,
    EVENTS_WEBHOOK_URL: undefined,
    EVENTS_WEBHOOK_SECRET: undefined,
    EVENTS_WEBHOOK_TYPES: ['user.*'],
  } satisfies Config);
});

t.test('an empty variable counts as unset, and unknown ones are ignored', async (t) => {
  const empty = Object.fromEntries(settingNames.map((name) => [name, '']));
  t.strictSame(
    loadConfig({ ...empty, DATABASE_URL_FILE: '', PORT_FILE: '/nowhere', X: '1' }),
    loadConfig({}),
  );
});

t.test('defaults follow the settings that they derive from', async (t) => {
  t.equal(loadConfig({ PORT: '8080' }).PUBLIC_URL, 'http://localhost:8080');
  t.strictSame(loadConfig({ PUBLIC_URL: 'https://x.test/auth' }).APP_ORIGINS, ['https://x.test']);
  t.equal(loadConfig({ NODE_ENV: 'test' }).EMBEDDED, true);
  t.equal(loadConfig(connected()).EMBEDDED, false);
  const { PASSWORD_HASH_THREADS: threads } = loadConfig({ ...connected(), WORKERS: '3' });
  t.equal(threads, Math.max(1, Math.floor((availableParallelism() - 1) / 3)));
});

t.test('what is derived from a bad setting is not blamed', async (t) => {
  t.match(problemsOf({ PORT: 'http' }), [/^PORT: /]);
  t.match(problemsOf({ PUBLIC_URL: 'localhost' }), [/^PUBLIC_URL: /]);
  t.match(problemsOf({ WORKERS: 'many' }), [/^WORKERS: /]);
  t.equal(problemsOf({ WORKERS: 'many' }).length, 1);
  t.equal(problemsOf({ PORT: 'http' }).length, 1);
  t.equal(problemsOf({ PUBLIC_URL: 'localhost' }).length, 1);
});

t.test('a duration is digits and a unit, decoded to milliseconds', async (t) => {
  const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: dayMs };
  const units = fc.constantFrom<keyof typeof unitsMs>('ms', 's', 'm', 'h', 'd');
  const lengths = fc.integer({ min: 900_000, max: 400 * dayMs });
  const property = fc.property(units, lengths, (unit, lengthMs) => {
    const count = Math.ceil(lengthMs / unitsMs[unit]);
    return read('SESSION_IDLE_TTL', `${count}${unit}`) === count * unitsMs[unit];
  });
  t.doesNotThrow(() => fc.assert(property));
});

const relay = { host: 'mail.test', port: 587, encryption: 'starttls', credentials: null };

const accepted: [SettingName, string, unknown][] = [
  ['SMTP_URL', 'smtp://mail.test', relay],
  ['SMTP_URL', 'smtp://mail.test/?tls=off', { ...relay, encryption: 'none' }],
  ['SMTP_URL', 'smtp://127.0.0.1:1025', { ...relay, host: '127.0.0.1', port: 1025, encryption: 'none' }],
  ['SMTP_URL', 'smtps://[::1]', { ...relay, host: '::1', port: 465, encryption: 'tls' }],
  [
    'SMTP_URL',
    'smtp://post%40shop:p%3Ass@mail.test:25',
    { ...relay, port: 25, credentials: { user: 'post@shop', password: 'p:ss' } },
  ],
  ['MAIL_FROM', 'accounts+shop@example.com', 'accounts+shop@example.com'],
  ['MAIL_FROM', 'Büro Nord <accounts@example.com>', 'Büro Nord <accounts@example.com>'],
  ['NODE_ENV', 'test', 'test'],
  ['HOST', '0.0.0.0', '0.0.0.0'],
  ['HOST', '::1', '::1'],
  ['HOST', 'auth_1.internal', 'auth_1.internal'],
  ['PORT', '0', 0],
  ['PORT', '65535', 65_535],
  ['PUBLIC_URL', 'https://api.test', 'https://api.test'],
  ['PUBLIC_URL', 'https://api.test:8443/auth', 'https://api.test:8443/auth'],
  ['PATH_PREFIX', '/api/v1.2/auth', '/api/v1.2/auth'],
  ['APP_ORIGINS', 'https://a.test , http://[::1]:5173', ['https://a.test', 'http://[::1]:5173']],
  ['TRUSTED_PROXIES', '10.0.0.0/8, ::1,fd00::/8,192.0.2.1', ['10.0.0.0/8', '::1', 'fd00::/8', '192.0.2.1']],
  ['TRUSTED_PROXIES', '::ffff:10.0.0.0/104,fd00::/8', ['::ffff:10.0.0.0/104', 'fd00::/8']],
  ['EMBEDDED', 'true', true],
  ['MIGRATE_ON_START', 'false', false],
  [
    'AUDIENCES',
    'shop, https://pay.test/api,urn:example:x',
    ['shop', 'https://pay.test/api', 'urn:example:x'],
  ],
  ['COOKIE_DOMAIN', 'example.test', 'example.test'],
  ['CREDENTIAL_RATE_LIMIT', '0', 0],
  ['DRAIN_DELAY', '0s', 0],
  ['EVENTS_WEBHOOK_TYPES', '*', ['*']],
  [
    'EVENTS_WEBHOOK_TYPES',
    'user.deleted, user.email_changed,audit.session.*,audit.*,audit.sign_in.failed',
    ['user.deleted', 'user.email_changed', 'audit.session.*', 'audit.*', 'audit.sign_in.failed'],
  ],
  ['MAX_EVENT_LOOP_DELAY', '0s', 0],
  ['ACCESS_TOKEN_TTL', '24h', dayMs],
  ['ACCESS_TOKEN_REUSE', '0s', 0],
  ['ACCESS_TOKEN_REUSE', '30s', 30_000],
  ['SESSION_IDLE_TTL', '15m', 900_000],
  ['SESSIONS_PER_USER', '0', 0],
];
t.test('decodes what each format allows', async (t) => {
  for (const [name, text, value] of accepted) t.strictSame(read(name, text), value, `${name}=${text}`);
});

const refused: [SettingName, string[]][] = [
  [
    'SMTP_URL',
    [
      'mail.test',
      'http://mail.test',
      'smtp://',
      'smtp://a@mail.test',
      'smtp://:p@mail.test',
      'smtp://mail.test/x',
    ],
  ],
  [
    'SMTP_URL',
    ['smtp://mail.test?tls=on', 'smtps://mail.test?tls=off', 'smtp://a:%zz@mail.test', 'smtp://a b'],
  ],
  [
    'MAIL_FROM',
    ['Doorward', 'a@', 'A <a@b.test', 'A, B <a@b.test>', 'A\nBcc: b@b.test <a@b.test>', '<a@b.test>'],
  ],
  ['NODE_ENV', ['prod', 'Production', 'toString']],
  ['HOST', ['a b', '[::1]', 'http://x', '1:2']],
  ['PORT', ['-1', '65536', '3e3', '1.5', '0x10', '８', '９', 'Infinity']],
  ['PUBLIC_URL', ['auth.test', 'ftp://x.test', '//x.test', 'https://', 'https:x.test', 'http:\\\\x.test']],
  [
    'PUBLIC_URL',
    ['https://x.test?', 'https://x.test/#', 'https://u@x.test', 'https://:p@x.test', 'https://x .test'],
  ],
  ['PATH_PREFIX', ['auth', '/', '/auth/', '//x', '/../x', '/a?b', '/:id', '/*', '/a%2fb']],
  [
    'APP_ORIGINS',
    ['*', 'null', 'https://x.test/', 'https://x.test:443', 'HTTPS://x.test', 'x.test', 'file://'],
  ],
  ['APP_ORIGINS', ['ws://x.test', 'https://*.x.test,', 'https://x.test,,https://y.test', ',']],
  [
    'TRUSTED_PROXIES',
    ['true', '1', 'loopback', '10.0.0.0/33', '::/129', '0.0.0.0/0', '10.0.0.0/8/8', '10.0.0.1/'],
  ],
  ['TRUSTED_PROXIES', ['10.0.0.0/255.0.0.0', '10.0.0.0/-1', '10.0.0', 'proxy.test', '::1,']],
  ['TRUSTED_PROXIES', ['true', '1', '2', 'loopback', 'uniquelocal', '*', '0.0.0.0/0', '::/0']],
  // Each of them has every IPv4 address in it, mapped into IPv6.
  ['TRUSTED_PROXIES', ['::ffff:0:0/96', '::ffff:10.0.0.1/96', '::ffff:10.0.0.0/8', '::/1', '::/80']],
  ['DATABASE_URL', ['mysql://x', 'postgres:x', 'postgres://x:port/y', 'x']],
  [
    'REDIS_URL',
    ['http://x', 'redis:x', 'REDIS', 'redis-sentinel://x', 'redis+sentinel://x', 'redis+cluster://x/y'],
  ],
  ['DATABASE_POOL_SIZE', ['0', '201']],
  ['REDIS_KEY_PREFIX', ['a b', 'é']],
  ['EMBEDDED', ['1', 'yes', 'TRUE']],
  ['DATA_DIR', ['a\0b', 'a\nb']],
  ['AUDIENCES', [',', 'a,,b', 'a,a', 'a b:c', '1:2', ':', 'a,"b"', 'a\nb', 'a\u00a0b']],
  ['ACCESS_TOKEN_TTL', ['0m', '59s', '25h', '30', 'm', '1.5h', '-1h', '1 h', '1H', '1h30m', '1w', '٣m']],
  ['ACCESS_TOKEN_REUSE', ['0', '-1s', '31s', '30001ms', '1m']],
  ['SESSION_IDLE_TTL', ['14m', '899s', '401d']],
  ['SESSIONS_PER_USER', ['-1', '1.5', '100001']],
  ['DRAIN_DELAY', ['0', '11m', '-1s']],
  ['JWKS_MAX_AGE', ['0s', '601s']],
  ['COOKIE_DOMAIN', ['localhost', '192.0.2.1', '.x.test', 'x.test/', '::1']],
  ['COOKIE_MODE', ['Host']],
  ['PASSWORD_MIN_LENGTH', ['7', '65']],
  ['LOG_LEVEL', ['verbose']],
  ['EVENTS_WEBHOOK_TYPES', ['users.*', 'user', 'user.', 'user*', 'audit.a.b.c', '**', 'User.*', ',']],
];
t.test('refuses, by name and with what is expected, what a format does not allow', async (t) => {
  const formats = new Map(describeSettings().map(({ name, format }) => [name, format]));
  for (const [name, texts] of refused) {
    for (const text of texts) {
      const [problem = ''] = problemsOf({ [name]: text });
      t.ok(problem.startsWith(`${name}: `), `${name}=${text}`);
      t.ok(problem.endsWith(` is not accepted; expected ${formats.get(name)}`), problem);
    }
  }
});

t.test('refuses an audience that could be taken for that of single-use tokens', async (t) => {
  for (const name of ['urn:doorward:once:api', 'URN:Doorward:once:'])
    t.strictSame(problemsOf({ AUDIENCES: `api,${name}` }), [
      `AUDIENCES: "api,${name}" is not accepted: a name that begins with urn:doorward:once: is the audience of single-use tokens; use another name`,
    ]);
  t.strictSame(problemsOf({ AUDIENCES: 'urn:doorward:twice:api,once' }), []);
});

/** What is wrong with the way a setting is written, and how a file of settings would say it. */
const slips = [
  { write: (text: string) => `"${text}"`, says: /has quotes around it; remove them/ },
  { write: (text: string) => `'${text}'`, says: /has quotes around it; remove them/ },
  { write: (text: string) => `\u201c${text}\u201d`, says: /has quotes around it; remove them/ },
  { write: (text: string) => `${text}\n`, says: /has white space around it; remove it/ },
  { write: (text: string) => ` ${text}`, says: /has white space around it; remove it/ },
  { write: (text: string) => `${text}\u00a0`, says: /has white space around it; remove it/ },
  { write: (text: string) => `"${text}"\r\n`, says: /has white space around it; remove it/ },
];

t.test('refuses every setting in quotes or with white space around it', async (t) => {
  const good: Env = {
    ...Object.fromEntries(
      describeSettings().map((row) => [row.name, row.derived ? '1' : row.default || 'a.test']),
    ),
    ...connected(),
  };
  for (const name of settingNames) {
    for (const { write, says } of slips) {
      const [problem = ''] = problemsOf({ [name]: write(String(good[name])) });
      t.ok(problem.startsWith(`${name}: `), problem);
      t.match(problem, says, problem);
    }
  }
});

t.test('refuses a secret file, and the path of one, in quotes or with white space around it', async (t) => {
  // One newline at the end of a file is not part of the secret; two are a mistake.
  const twoNewlines = { write: (text: string) => `${text}\n\n`, says: /has white space around it/ };
  const inFiles = [...slips.filter(({ write }) => !write('').endsWith('\n')), twoNewlines];
  for (const name of secretNames) {
    for (const { write, says } of inFiles) {
      const secret = newKey();
      const [inFile = ''] = problemsOf({ [`${name}_FILE`]: 'x' }, () => write(secret));
      t.ok(inFile.startsWith(`${name}: the value (not shown) `) && says.test(inFile), inFile);
      const [path = ''] = problemsOf({ [`${name}_FILE`]: write(secret) }, () => t.fail('read it') as never);
      t.ok(path.startsWith(`${name}_FILE: the value (not shown) `) && says.test(path), path);
      t.notOk(`${inFile}${path}`.includes(secret));
    }
  }
});

/** As the setting has it, of so many bytes. */
const webhookSecret = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`;

t.test('takes webhooks to https, or to this machine itself', async (t) => {
  const [secret, next] = [webhookSecret(24), webhookSecret(64)];
  const load = (EVENTS_WEBHOOK_URL: string, EVENTS_WEBHOOK_SECRET = secret) =>
    problemsOf({ EVENTS_WEBHOOK_URL, EVENTS_WEBHOOK_SECRET });
  for (const url of ['https://hooks.test/in?key=x', 'http://localhost:9', 'http://[::1]/', 'HTTPS://x.test'])
    t.strictSame(load(url), [], url);
  for (const url of [
    'http://hooks.test',
    'https://u:p@x.test',
    'https://x.test/#a',
    'ftp://x.test',
    'x.test',
  ])
    t.match(load(url), [/^EVENTS_WEBHOOK_URL: the value \(not shown\) is not accepted/], url);
  const keyOf = (text: string) => Buffer.from(text.slice(6), 'base64');
  for (const both of [`${secret} ${next}`, `${secret},${next}`, `${secret}, ${next}`])
    t.strictSame(
      loadConfig({ EVENTS_WEBHOOK_URL: 'https://x.test', EVENTS_WEBHOOK_SECRET: both }).EVENTS_WEBHOOK_SECRET,
      [keyOf(secret), keyOf(next)],
    );
  for (const bad of [
    webhookSecret(23),
    webhookSecret(65),
    next.slice(6),
    `${secret} ${next} ${secret}`,
    'a b',
  ])
    t.match(load('https://x.test', bad), [/^EVENTS_WEBHOOK_SECRET: the value \(not shown\) is not accepted/]);
  t.match(problemsOf({ EVENTS_WEBHOOK_URL: 'https://x.test' }), [/goes with EVENTS_WEBHOOK_SECRET/]);
  t.match(problemsOf({ EVENTS_WEBHOOK_SECRET: secret }), [/goes with EVENTS_WEBHOOK_SECRET/]);
});

t.test('quotes and spaces inside a value are left alone', async (t) => {
  t.equal(read('DATA_DIR', `./Anna's "own" data`), `./Anna's "own" data`);
  t.equal(read('DATA_DIR', `"a" and "b`), `"a" and "b`);
});

t.test('refuses a PUBLIC_URL that is not letter for letter the issuer, and says what to write', async (t) => {
  for (const [text, instead] of [
    ['https://auth.example.com/', 'https://auth.example.com'],
    ['https://auth.example.com/auth//', 'https://auth.example.com/auth'],
    ['HTTPS://auth.example.com', 'https://auth.example.com'],
    ['https://Auth.Example.com/Auth', 'https://auth.example.com/Auth'],
    ['https://auth.example.com:443', 'https://auth.example.com'],
    ['http://localhost:80/auth', 'http://localhost/auth'],
    ['https://auth.example.com:08443', 'https://auth.example.com:8443'],
    ['https://auth.example.com/a/../b/./c', 'https://auth.example.com/b/c'],
    ['https://b\u00fccher.example', 'https://xn--bcher-kva.example'],
    ['https://auth.example.com/\u00fc', 'https://auth.example.com/%C3%BC'],
    ['http://[0:0::1]:3000', 'http://[::1]:3000'],
    ['http://127.1', 'http://127.0.0.1'],
  ] as const) {
    t.match(problemsOf({ PUBLIC_URL: text }), [/^PUBLIC_URL: /], text);
    t.ok(
      problemsOf({ PUBLIC_URL: text }).join().endsWith(`; write ${instead}`),
      problemsOf({ PUBLIC_URL: text }).join(),
    );
    t.equal(read('PUBLIC_URL', instead), instead, 'what it says is accepted');
  }
});

t.test('an accepted PUBLIC_URL is used unchanged', async (t) => {
  const property = fc.property(fc.webUrl({ withFragments: false }), (url) => {
    const problems = problemsOf({ PUBLIC_URL: url });
    if (problems.length === 0) return read('PUBLIC_URL', url) === url;
    const instead = /; write (\S+)$/.exec(problems.join())?.[1] ?? '';
    return read('PUBLIC_URL', instead) === instead && !instead.endsWith('/');
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test('the default PUBLIC_URL is in its normal form too', async (t) => {
  t.equal(loadConfig({ PORT: '80', PATH_PREFIX: '/auth' }).PUBLIC_URL, 'http://localhost/auth');
  t.equal(loadConfig({ PORT: '0080' }).PUBLIC_URL, 'http://localhost');
});

t.test('refuses a password hash below every row of the OWASP table, and says what is enough', async (t) => {
  const hash = (memoryKib: number, iterations: number) =>
    problemsOf({ PASSWORD_HASH_MEMORY_KIB: `${memoryKib}`, PASSWORD_HASH_ITERATIONS: `${iterations}` });
  for (const [memoryKib, iterations, instead] of [
    [7168, 1, 'set it to at least 47104, or PASSWORD_HASH_ITERATIONS to at least 5'],
    [7168, 4, 'set it to at least 9216, or PASSWORD_HASH_ITERATIONS to at least 5'],
    [9215, 4, 'set it to at least 9216, or PASSWORD_HASH_ITERATIONS to at least 5'],
    [9216, 3, 'set it to at least 12288, or PASSWORD_HASH_ITERATIONS to at least 4'],
    [12_288, 2, 'set it to at least 19456, or PASSWORD_HASH_ITERATIONS to at least 3'],
    [19_456, 1, 'set it to at least 47104, or PASSWORD_HASH_ITERATIONS to at least 2'],
    [47_103, 1, 'set it to at least 47104, or PASSWORD_HASH_ITERATIONS to at least 2'],
  ] as const) {
    const problem = `PASSWORD_HASH_MEMORY_KIB: is too weak with PASSWORD_HASH_ITERATIONS=${iterations}; ${instead}`;
    t.strictSame(hash(memoryKib, iterations), [problem]);
  }
  for (const [memoryKib, iterations] of [
    [47_104, 1],
    [19_456, 2],
    [12_288, 3],
    [9216, 4],
    [7168, 5],
    [7168, 20],
    [1_048_576, 1],
  ] as const) {
    t.strictSame(hash(memoryKib, iterations), [], `${memoryKib}, ${iterations}`);
  }
});

t.test('the encryption key is read from hex, base64 and base64url', async (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
    const key = Buffer.from(bytes);
    const hex = key.toString('hex');
    const base64 = key.toString('base64');
    const forms = [hex, hex.toUpperCase(), base64, base64.slice(0, -1), key.toString('base64url')];
    return forms.every((form) => key.equals(read('KEY_ENCRYPTION_KEY', form) as Buffer));
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test('the Redis to use may be one server, Sentinel and a cluster', async (t) => {
  for (const [url, kind] of [
    ['redis://x.test', 'plain'],
    ['rediss://x.test', 'plain'],
    ['redis+sentinel://x.test,y.test/main', 'sentinel'],
    ['redis+cluster://x.test,y.test', 'cluster'],
  ] as const) {
    t.match(loadConfig(connected({ REDIS_URL: url })).REDIS_URL, { kind, hosts: /^x\.test/ });
  }
});

t.test('an encryption key of another length or mixed alphabets is refused', async (t) => {
  const lengths = [16, 31, 33, 48, 64].map((length) => randomBytes(length));
  const texts = lengths.flatMap((key) => [key.toString('hex'), key.toString('base64')]);
  for (const text of [...texts, `+-${'A'.repeat(41)}`, `${'g'.repeat(64)}`]) {
    t.match(problemsOf({ KEY_ENCRYPTION_KEY: text }), [/^KEY_ENCRYPTION_KEY: the value \(not shown\)/], text);
  }
});

const production = { NODE_ENV: 'production', PUBLIC_URL: 'https://auth.test' };

const ruleCases: [string, Env, string][] = [
  ['PostgreSQL without Redis', connected({ REDIS_URL: '' }), 'DATABASE_URL: goes with REDIS_URL'],
  ['Redis without PostgreSQL', connected({ DATABASE_URL: '' }), 'DATABASE_URL: goes with REDIS_URL'],
  [
    'embedded beside servers',
    connected({ EMBEDDED: 'true' }),
    'EMBEDDED: cannot be true together with DATABASE_URL',
  ],
  ['several workers on one embedded database', { WORKERS: '2' }, 'WORKERS: must be 1 with EMBEDDED=true'],
  ['metrics on the public port', { METRICS_PORT: '3000' }, 'METRICS_PORT: must differ from PORT'],
  [
    'production on no database',
    { ...production, KEY_ENCRYPTION_KEY: randomBytes(32).toString('hex') },
    'DATABASE_URL: is required, with REDIS_URL, unless EMBEDDED=true',
  ],
  [
    'servers without an encryption key',
    connected({ KEY_ENCRYPTION_KEY: '' }),
    'KEY_ENCRYPTION_KEY: is required unless EMBEDDED=true; make one with: openssl rand -base64 32',
  ],
  [
    'a cookie domain in host mode',
    { COOKIE_DOMAIN: 'x.test' },
    'COOKIE_DOMAIN: goes with COOKIE_MODE=secure',
  ],
  ['secure mode without a domain', { COOKIE_MODE: 'secure' }, 'COOKIE_DOMAIN: goes with COOKIE_MODE=secure'],
  [
    'a cross-site cookie over http',
    { COOKIE_MODE: 'insecure', COOKIE_SAME_SITE: 'none' },
    'COOKIE_SAME_SITE: none needs a Secure cookie',
  ],
  [
    'a Secure cookie over http in production',
    connected({ NODE_ENV: 'production', PUBLIC_URL: 'http://127.x.test' }),
    'PUBLIC_URL: must be https:// in production',
  ],
  [
    'production without the URL that clients see',
    connected({ NODE_ENV: 'production' }),
    'PUBLIC_URL: is required with NODE_ENV=production; set it to the URL that clients see, with PATH_PREFIX at its end, such as https://auth.example.com',
  ],
  [
    'the same with an embedded database',
    { NODE_ENV: 'production', EMBEDDED: 'true', PUBLIC_URL: '' },
    'PUBLIC_URL: is required with NODE_ENV=production',
  ],
  [
    'a prefix that clients are not told of',
    { PUBLIC_URL: 'https://x.test', PATH_PREFIX: '/auth' },
    'PUBLIC_URL: must end with PATH_PREFIX, or clients are sent to addresses that are not there; write https://x.test/auth, or unset PATH_PREFIX',
  ],
  ...[
    'https://x.test/api',
    'https://x.test/auth/v1',
    'https://x.test/xauth',
    'https://auth',
    'https://x.test/Auth',
  ].map((PUBLIC_URL): [string, Env, string] => [
    `the prefix /auth with PUBLIC_URL=${PUBLIC_URL}`,
    { PUBLIC_URL, PATH_PREFIX: '/auth' },
    'PUBLIC_URL: must end with PATH_PREFIX',
  ]),
  [
    'a default audience that is none of the audiences',
    { AUDIENCES: 'shop,payments', DEFAULT_AUDIENCE: 'Shop' },
    'DEFAULT_AUDIENCE: must be one of AUDIENCES',
  ],
  ['an idle life beyond the whole', { SESSION_TTL: '13d' }, 'SESSION_IDLE_TTL: must not be longer'],
  [
    'an access token that outlives its session',
    { SESSION_TTL: '29m', SESSION_IDLE_TTL: '29m' },
    'ACCESS_TOKEN_TTL: must not be longer than SESSION_IDLE_TTL or SESSION_TTL',
  ],
  [
    'an access token that outlives an unused session',
    { SESSION_IDLE_TTL: '15m' },
    'ACCESS_TOKEN_TTL: must not be longer than SESSION_IDLE_TTL or SESSION_TTL',
  ],
];
for (const [what, env, start] of ruleCases) {
  t.test(`refuses ${what}`, async (t) => {
    const problems = problemsOf(env);
    t.equal(problems.length, 1);
    t.ok(problems.join().startsWith(start), problems.join());
  });
}

t.test('allows what comes close to the rules but breaks none', async (t) => {
  const fine: Env[] = [
    connected(production),
    { ...production, EMBEDDED: 'true' },
    connected({ ...production, PUBLIC_URL: 'https://auth.test' }),
    connected({ ...production, PUBLIC_URL: 'http://lan.test', COOKIE_MODE: 'insecure' }),
    ...['localhost:1', 'a.localhost', '127.0.0.2', '[::1]:3000'].map((host) =>
      connected({ ...production, PUBLIC_URL: `http://${host}` }),
    ),
    { PUBLIC_URL: 'http://lan.test' },
    { PUBLIC_URL: 'https://x.test/auth' },
    { PUBLIC_URL: 'https://x.test/auth', PATH_PREFIX: '/auth' },
    { PUBLIC_URL: 'https://x.test/api/auth', PATH_PREFIX: '/auth' },
    { PATH_PREFIX: '/auth' },
    { AUDIENCES: 'shop, https://pay.test', DEFAULT_AUDIENCE: 'https://pay.test' },
    { COOKIE_MODE: 'secure', COOKIE_DOMAIN: 'x.test', COOKIE_SAME_SITE: 'none' },
    { SESSION_TTL: '14d', ACCESS_TOKEN_TTL: '24h', KEY_RETAIN: '25h' },
    { SESSION_TTL: '30m', SESSION_IDLE_TTL: '30m' },
  ];
  for (const env of fine) t.strictSame(problemsOf(env), []);
});

t.test('tells everything that is wrong at once, one line each', async (t) => {
  const bad = Object.fromEntries(settingNames.map((name) => [name, '\n,\n']));
  const problems = problemsOf({ ...bad, DATA_DIR: '\0' });
  t.strictSame(
    problems.map((problem) => problem.split(':')[0]),
    settingNames,
  );
});

t.test('what PUBLIC_URL has to be is told beside a bad port', async (t) => {
  const problems = problemsOf({ NODE_ENV: 'production', EMBEDDED: 'true', PORT: 'x' });
  t.match(problems, [/^PORT: /, /^PUBLIC_URL: is required/]);
});

t.test('tells bad values and broken rules together', async (t) => {
  const problems = problemsOf(connected({ PORT: 'x', COOKIE_MODE: 'secure', KEY_ENCRYPTION_KEY: '' }));
  t.match(problems, [/^PORT: "x" is/, /^KEY_ENCRYPTION_KEY: is required/, /^COOKIE_DOMAIN: goes/]);
});

t.test('a server whose URL is bad still counts as wanted', async (t) => {
  const problems = problemsOf({ DATABASE_URL: 'x', REDIS_URL_FILE: 'x' }, () => '');
  t.match(problems, [/^DATABASE_URL: /, /^REDIS_URL_FILE: /, /^KEY_ENCRYPTION_KEY: is required/]);
});

t.test('every secret may come from a file, whose last newline is not part of it', async (t) => {
  const env = connected(outward());
  for (const newline of ['', '\n', '\r\n']) {
    const files = Object.fromEntries(secretNames.map((name) => [`${name}_FILE`, name]));
    const config = loadConfig(files, (path) => `${env[path]}${newline}`);
    t.strictSame(config, loadConfig(env));
  }
});

t.test('reads a secret from a real file, and says why it cannot', async (t) => {
  const dir = t.testdir({ key: `${randomBytes(32).toString('hex')}\n` });
  t.type(loadConfig({ KEY_ENCRYPTION_KEY_FILE: `${dir}/key` }).KEY_ENCRYPTION_KEY, Buffer);
  const expected = 'expected the path of a file';
  t.strictSame(problemsOf({ KEY_ENCRYPTION_KEY_FILE: `${dir}/none` }), [
    `KEY_ENCRYPTION_KEY_FILE: cannot be read (ENOENT); ${expected}`,
  ]);
  t.match(problemsOf({ KEY_ENCRYPTION_KEY_FILE: dir }), [/EISDIR/]);
});

t.test('refuses a file that fails in an unknown way, is empty, or holds what is not accepted', async (t) => {
  const env = { KEY_ENCRYPTION_KEY_FILE: 'key' };
  const fail = () => {
    throw new Error('lost');
  };
  t.match(problemsOf(env, fail), [/^KEY_ENCRYPTION_KEY_FILE: cannot be read \(unknown error\)/]);
  t.match(
    problemsOf(env, () => '\n'),
    [/^KEY_ENCRYPTION_KEY_FILE: the file is empty/],
  );
  t.match(
    problemsOf(env, () => 'short'),
    [/^KEY_ENCRYPTION_KEY: the value \(not shown\) is not accepted/],
  );
});

t.test('refuses a secret that is given both ways', async (t) => {
  for (const name of secretNames) {
    const env = { ...connected(outward()), [`${name}_FILE`]: 'x' };
    const problems = problemsOf(env, () => t.fail('read the file') as never);
    t.strictSame(problems, [`${name}: ${name}_FILE is set as well; expected only one of them`]);
  }
});

const fileNames = secretNames.map((name) => `${name}_FILE`);
const likelyTexts = [
  '',
  'true',
  '1',
  '5m',
  '400d',
  'http://x',
  'https://a.test',
  'postgres://x',
  'redis://x',
  'host',
];
const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...likelyTexts));
const anyEnv = fc.dictionary(fc.constantFrom(...settingNames, ...fileNames), anyText);

t.test('any environment gives a whole config or a ConfigError', async (t) => {
  const property = fc.property(anyEnv, anyText, (env, content) => {
    const problems = problemsOf(env, () => content);
    if (problems.length > 0) return problems.every((problem) => /^[A-Z_]+: \S/.test(problem));
    return settingNames.every((name) => name in loadConfig(env, () => content));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }));
});

t.test('no secret is ever in the message, wherever it was put', async (t) => {
  const names = fc.subarray<string>([...secretNames, ...fileNames], { minLength: 1 });
  const starts = fc.constantFrom('', 'mysql://u:', 'postgres://u:', 'redis://u:');
  const property = fc.property(names, starts, anyEnv, (names, start, env) => {
    const secret = randomBytes(16).toString('hex');
    const leaky = Object.fromEntries(names.map((name) => [name, `${start}${secret}@host`]));
    const problems = problemsOf({ ...env, ...leaky, PORT: 'x' }, () => `${secret}\n${secret}`);
    return problems.length > 0 && !problems.join().includes(secret);
  });
  t.doesNotThrow(() => fc.assert(property));
  const password = randomBytes(16).toString('hex');
  const url = `https://user:${password}@x.test`;
  const query = `redis://x.test?password=${password}`;
  t.notMatch(problemsOf({ PUBLIC_URL: url, APP_ORIGINS: url, HOST: query }).join(), password);
});

t.test('the documentation names every setting once, in the order of the schema', async (t) => {
  const rows = describeSettings();
  t.strictSame(
    rows.map(({ name }) => name),
    settingNames,
  );
  t.strictSame(
    rows.filter(({ secret }) => secret).map(({ name }) => name),
    [...secretNames],
  );
  const lines = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name);
  t.strictSame(lines(settingsMarkdown(), /^\| `([A-Z_]+)` \|(?:[^|]*\|){2}$/gm), settingNames);
  t.strictSame(lines(settingsEnvExample(), /^#([A-Z_]+)=/gm), settingNames);
  t.strictSame(lines(settingsText(), /^([A-Z_]+) /gm), settingNames);
});

t.test('.env.example is up to date, and uncommenting all of it changes nothing', async (t) => {
  const text = readFileSync('.env.example', 'utf8');
  t.equal(text, settingsEnvExample());
  const pairs = [...text.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
  t.strictSame(loadConfig(Object.fromEntries(pairs)), loadConfig({}));
});
