import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { checkSettings, settingsReportText } from '../../src/config/config-check.ts';
import { settingNames } from '../../src/config/settings.ts';

const meant = (name: string, instead: string) =>
  `${name}: is not a setting and has no effect; did you mean ${instead}?`;

test('settings that can be used and protect as they should are fine', async (t) => {
  const report = checkSettings({ NODE_ENV: 'production', EMBEDDED: 'true', PUBLIC_URL: 'https://auth.test' });
  t.strictSame(report, { errors: [], warnings: [] });
  t.equal(settingsReportText(report), 'The settings are fine.\n');
});

test('lists every error, as the server would, and every warning', async (t) => {
  const env = { PORT: 'x', DATABASE_URL_FILE: 'nowhere', COOKIE_MODE: 'insecure', ACCES_TOKEN_TTL: '5m' };
  const report = checkSettings(env, () => {
    throw new Error('no such file');
  });
  t.match(report.errors, [
    /^PORT: "x" is not accepted/,
    /^DATABASE_URL_FILE: cannot be read/,
    /^KEY_ENCRYPTION_KEY: is required/,
  ]);
  t.match(report.warnings, [
    /^COOKIE_MODE=insecure: /,
    /^SMTP_URL is not set/,
    meant('ACCES_TOKEN_TTL', 'ACCESS_TOKEN_TTL'),
  ]);
  const words = settingsReportText(report)
    .trimEnd()
    .split('\n')
    .map((line) => line.split(':')[0]);
  t.strictSame(words, [
    'error    PORT',
    'error    DATABASE_URL_FILE',
    'error    KEY_ENCRYPTION_KEY',
    'warning  COOKIE_MODE=insecure',
    'warning  SMTP_URL is not set, so no mails are sent. Off are',
    'warning  ACCES_TOKEN_TTL',
  ]);
});

test('warns of each setting that protects less than its default', async (t) => {
  const { warnings } = checkSettings({ COOKIE_MODE: 'insecure', CLIENT_ASSERTION_AUDIENCE: 'endpoint' });
  t.match(warnings, [/^COOKIE_MODE=insecure: /, /^CLIENT_ASSERTION_AUDIENCE=endpoint: /]);
});

test('warns where services that verify offline learn of sign-outs late, or not of all', async (t) => {
  const long = { ACCESS_TOKEN_TTL: '6h', KEY_RETAIN: '7h' };
  const about = (env: Record<string, string>) =>
    checkSettings(env).warnings.filter((line) => /offline/.test(line));
  t.match(about({ REVOCATIONS: 'off' }), [/^REVOCATIONS=off: /]);
  t.match(about(long), [/^ACCESS_TOKEN_TTL is more than 5 hours: .* 23 a second with 24h/]);
  t.match(about({ ...long, REVOCATIONS: 'off' }), [/^REVOCATIONS=off: /]);
  t.same(about({ ACCESS_TOKEN_TTL: '5h', KEY_RETAIN: '6h', REVOCATIONS: 'clients' }), []);
  t.same(about({ ACCESS_TOKEN_TTL: 'long' }), []);
});

test('says which features are off without a mail server, unless mails go to files', async (t) => {
  const warningsOf = (env: Record<string, string>) => checkSettings({ EMBEDDED: 'false', ...env }).warnings;
  t.match(warningsOf({}), [/^SMTP_URL is not set, so no mails are sent\. Off are: a new password/]);
  t.strictSame(warningsOf({ SMTP_URL: 'smtp://mail.example' }), []);
  t.strictSame(checkSettings({ EMBEDDED: 'true' }).warnings, []);
});

test('warns of names that are near to a setting, and only of those', async (t) => {
  const { warnings } = checkSettings({
    ...Object.fromEntries(settingNames.map((name) => [name, ''])),
    ...{
      HOSTNAME: 'x',
      PATH: 'x',
      AUDIENCE: 'shop',
      port: '3000',
      REDIS_ULR_FILE: 'x',
      DATABASE_URL_FILES: 'x',
    },
  });
  t.strictSame(warnings, [
    meant('AUDIENCE', 'AUDIENCES'),
    meant('port', 'PORT'),
    meant('REDIS_ULR_FILE', 'REDIS_URL_FILE'),
    meant('DATABASE_URL_FILES', 'DATABASE_URL_FILE'),
  ]);
});

test('says that a setting which is no secret cannot come from a file', async (t) => {
  t.strictSame(checkSettings({ PUBLIC_URL_FILE: 'x', AUDIENCE_FILE: 'x' }).warnings, [
    'PUBLIC_URL_FILE: is not a setting and has no effect; set PUBLIC_URL itself, since only secrets may come from a file',
    'AUDIENCE_FILE: is not a setting and has no effect; set AUDIENCES itself, since only secrets may come from a file',
  ]);
});

test('does not warn of a misspelt name without a value, or of one that no shell could set', async (t) => {
  t.strictSame(checkSettings({ AUDIENCE: '', AUDIENCS: undefined, 'PO\nRT': '1', 'P RT': '1' }).warnings, []);
});

test('neither errors nor warnings show a secret', async (t) => {
  const secret = randomBytes(9).toString('hex');
  const names = [
    'DATABASE_URL',
    'REDIS_URL',
    'KEY_ENCRYPTION_KEY',
    'DATABSE_URL',
    'KEY_ENCRYPTION_KEYS',
    'REDIS_URLFILE',
  ];
  const report = checkSettings(Object.fromEntries(names.map((name) => [name, secret])));
  t.equal(report.errors.length, 3);
  t.equal(report.warnings.length, 4);
  t.notMatch(JSON.stringify(report), secret);
});

test('a start that fails names the misspelt variable that may be why', async (t) => {
  const env = { NODE_ENV: 'production', PUBLIC_URL: 'https://x.test', DATABSE_URL: 'postgres://x' };
  t.throws(() => loadConfig(env), {
    message: /^DATABASE_URL: is required.*\n(.*\n)*DATABSE_URL: is not a setting.*DATABASE_URL\?$/,
  });
});
