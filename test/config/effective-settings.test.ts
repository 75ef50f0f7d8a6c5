import { test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { effectiveSettings } from '../../src/config/effective-settings.ts';
import { settingNames } from '../../src/config/settings.ts';

const smtp = 'smtp://ada:hunter2@mail.example.com';

const shown = (env: Record<string, string>) => {
  const all = effectiveSettings(loadConfig(env));
  return (name: string) => all.find((setting) => setting.name === name);
};

test('every setting is shown as one would write it, with whether it was set', (t) => {
  const of = shown({ AUDIENCES: 'shop, pay', ACCESS_TOKEN_TTL: '90s', PORT: '8080', SESSION_TTL: '720h' });
  t.same(of('AUDIENCES'), { name: 'AUDIENCES', value: 'shop,pay', source: 'set' });
  t.match(of('ACCESS_TOKEN_TTL'), { value: '90s', source: 'set' });
  t.match(of('SESSION_TTL'), { value: '30d', source: 'default' }, 'the same in another unit');
  t.match(of('ACCESS_TOKEN_REUSE'), { value: '0s', source: 'default' });
  t.match(of('PUBLIC_URL'), { value: 'http://localhost:8080', source: 'default' }, 'as it follows from PORT');
  t.match(of('METRICS_PORT'), { value: null, source: 'default' });
  t.match(of('EMBEDDED'), { value: 'true', source: 'default' });
  t.same(
    effectiveSettings(loadConfig({})).map(({ name }) => name),
    settingNames,
  );
  t.end();
});

test('a setting that is shown can be given back', (t) => {
  const config = loadConfig({ DRAIN_DELAY: '500ms', APP_ORIGINS: 'https://a.example,https://b.example' });
  const env = Object.fromEntries(effectiveSettings(config).map(({ name, value }) => [name, value ?? '']));
  t.strictSame(loadConfig(env), config);
  t.end();
});

test('a secret is not shown, only whether there is one', (t) => {
  const of = shown({ SMTP_URL: smtp, KEY_ENCRYPTION_KEY: 'ab'.repeat(32) });
  t.same(of('SMTP_URL'), { name: 'SMTP_URL', value: '(not shown)', source: 'set' });
  t.match(of('KEY_ENCRYPTION_KEY'), { value: '(not shown)', source: 'set' });
  t.match(of('DATABASE_URL'), { value: null, source: 'default' });
  t.end();
});
