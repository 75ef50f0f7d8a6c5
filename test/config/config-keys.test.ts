import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { type Config, ConfigError, loadConfig, type SettingName } from '../../src/config/config.ts';

type Env = Parameters<typeof loadConfig>[0];

/** Values of other settings with which no rule over several settings refuses the one under test. */
const company: Env = {
  KEY_RETAIN: '60d',
  KEY_ROTATION_EVERY: '400d',
  JWKS_MAX_AGE: '1s',
  KEY_PUBLISH_AHEAD: '41s',
};

/** The message of the error; empty if there is none. */
function problemOf(env: Env): string {
  try {
    loadConfig(env);
    return '';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

const accepted: [SettingName, string, unknown][] = [
  ['SIGNING_ALGORITHM', 'EdDSA', 'EdDSA'],
  ['SIGNING_ALGORITHM', 'RS256', 'RS256'],
  ['KEY_ROTATION_EVERY', '41s', 41_000],
  ['KEY_PUBLISH_AHEAD', '30d', 2_592_000_000],
  ['KEY_RETAIN', '1h', 3_600_000],
];
t.test('decodes the settings of the signing keys', async (t) => {
  for (const [name, text, value] of accepted) {
    t.strictSame(loadConfig({ ...company, [name]: text })[name], value, `${name}=${text}`);
  }
});

const refused: [SettingName, string[]][] = [
  ['SIGNING_ALGORITHM', ['es256', 'HS256', 'none', 'Ed25519']],
  ['KEY_ROTATION_EVERY', ['29s', '401d', '0s']],
  ['KEY_PUBLISH_AHEAD', ['29s', '31d']],
  ['KEY_RETAIN', ['59s', '61d']],
  ['KEY_ENCRYPTION_KEY_PREVIOUS', ['short', randomBytes(16).toString('hex')]],
];
t.test('refuses what they do not allow', async (t) => {
  for (const [name, texts] of refused) {
    for (const text of texts) {
      const problem = problemOf({ ...company, [name]: text });
      t.ok(problem.startsWith(`${name}: `) && problem.includes(' is not accepted; expected '), problem);
    }
  }
});

const ruleCases: [what: string, env: Env, start: string][] = [
  [
    'keys that sign before services can have fetched them',
    { KEY_PUBLISH_AHEAD: '639s' },
    'KEY_PUBLISH_AHEAD: must be at least JWKS_MAX_AGE + 40s',
  ],
  [
    'the same where the key set may be kept for less long',
    { JWKS_MAX_AGE: '1s', KEY_PUBLISH_AHEAD: '40s' },
    'KEY_PUBLISH_AHEAD: must be at least',
  ],
  [
    'keys that go before their last tokens',
    { KEY_RETAIN: '1829s' },
    'KEY_RETAIN: must be at least ACCESS_TOKEN_TTL + 30s',
  ],
  [
    'tokens that outlive the key that signed them',
    { ACCESS_TOKEN_TTL: '45m' },
    'KEY_RETAIN: must be at least',
  ],
  [
    'keys that sign for less long than they are published ahead',
    { KEY_ROTATION_EVERY: '899s' },
    'KEY_ROTATION_EVERY: must not be shorter than KEY_PUBLISH_AHEAD',
  ],
];
for (const [what, env, start] of ruleCases) {
  t.test(`refuses ${what}`, async (t) => {
    const problem = problemOf(env);
    t.ok(problem.startsWith(start), problem);
    t.notOk(problem.includes('\n'), 'and speaks of nothing else');
  });
}

t.test('allows what comes close to the rules but breaks none', async (t) => {
  const fine: Env[] = [
    { KEY_PUBLISH_AHEAD: '640s', KEY_ROTATION_EVERY: '640s' },
    { JWKS_MAX_AGE: '1s', KEY_PUBLISH_AHEAD: '41s', KEY_ROTATION_EVERY: '41s' },
    { KEY_RETAIN: '1830s' },
    { ACCESS_TOKEN_TTL: '1m', KEY_RETAIN: '90s' },
    { KEY_ENCRYPTION_KEY_PREVIOUS: randomBytes(32).toString('base64') },
  ];
  for (const env of fine) t.equal(problemOf(env), '');
});

/** What must be true of any settings with which the server starts. */
function isSafe(config: Config): boolean {
  const reachesAll = config.KEY_PUBLISH_AHEAD >= config.JWKS_MAX_AGE + 40_000;
  const outlivesTokens = config.KEY_RETAIN >= config.ACCESS_TOKEN_TTL + 30_000;
  return reachesAll && outlivesTokens && config.KEY_ROTATION_EVERY >= config.KEY_PUBLISH_AHEAD;
}

t.test('no settings that start the server are unsafe together', async (t) => {
  const seconds = (max: number) => fc.integer({ min: 1, max }).map((count) => `${count}s`);
  const periods = fc.record(
    {
      KEY_ROTATION_EVERY: seconds(2_000),
      KEY_PUBLISH_AHEAD: seconds(1_500),
      KEY_RETAIN: seconds(4_000),
      ACCESS_TOKEN_TTL: seconds(3_600),
      JWKS_MAX_AGE: seconds(600),
    },
    { requiredKeys: [] },
  );
  let started = 0;
  const property = fc.property(periods, (env) => {
    if (problemOf(env) !== '') return true;
    started += 1;
    return isSafe(loadConfig(env));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1_000 }));
  t.ok(started > 20, `${started} of 1000 start`);
});
