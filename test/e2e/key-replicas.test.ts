import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import type { KeyRotation } from '../../src/keys/key-commands.ts';
import { createPlace, type Place, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { doorward, runToEnd, type ServerProcess, startServer } from '../support/processes.ts';

// Five servers start at once here, maybe on a busy machine.
t.setTimeout(400_000);

/** From the end of a command to its effect on every replica. */
const LEARNS_WITHIN_MS = 5_000;

/** The key set's bytes, as one replica serves them. */
async function keySetOf({ url }: ServerProcess): Promise<string> {
  return (await fetch(`${url}/.well-known/jwks.json`)).text();
}

/** The whole table as text, the bytes of each private key included. */
async function tableOf({ DATABASE_URL }: Place): Promise<string> {
  return JSON.stringify(await runSql(DATABASE_URL, 'select * from signing_keys order by kid'));
}

/** Starts a server that must refuse to start: exit code 1, and no line about where it listens. */
async function refuses(t: Test, settings: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await runToEnd({ PORT: '0', ...settings }, 'src/server.ts');
  t.equal(code, 1);
  t.notMatch(stdout, /listening/);
  return stderr;
}

t.test('five servers started at once on an empty database share one key', async (t) => {
  const place = await createPlace(t);
  await runSql(
    place.DATABASE_URL,
    'drop schema public cascade; drop schema drizzle cascade; create schema public',
  );
  const servers = await Promise.all(Array.from({ length: 5 }, () => startServer(t, place)));

  const keySets = await Promise.all(servers.map(keySetOf));
  t.equal(new Set(keySets).size, 1, 'the same bytes from each');
  const { keys } = JSON.parse(keySets[0] ?? '');
  t.match(keys, [{ use: 'sig', alg: 'ES256', kid: /^[\w-]{43}$/ }]);
  t.equal(keys.length, 1);
  t.match(await runSql(place.DATABASE_URL, 'select kid, retired_at from signing_keys'), [
    { kid: keys[0].kid, retired_at: null },
  ]);

  const { stdout, code } = await doorward(place, 'keys', 'rotate', '--now', '--json');
  const rotatedAt = Date.now();
  t.equal(code, 0);
  const active = (JSON.parse(stdout) as KeyRotation).keys.find(({ status }) => status === 'active');
  await eventually(async () => {
    for (const keySet of await Promise.all(servers.map(keySetOf))) {
      if (!keySet.includes(active?.kid ?? '?')) throw new Error(`still serves ${keySet}`);
    }
  });
  const tookMs = Date.now() - rotatedAt;
  t.ok(tookMs < LEARNS_WITHIN_MS, `all five learned of \`keys rotate --now\` within ${tookMs} ms`);
  t.equal(new Set(await Promise.all(servers.map(keySetOf))).size, 1);
});

t.test('a wrong or missing KEY_ENCRYPTION_KEY changes nothing', async (t) => {
  const place = await createPlace(t);
  await doorward(place, 'keys', 'rotate');
  // A new key, a change of the active key and a deletion are due at the same time.
  await runSql(
    place.DATABASE_URL,
    `insert into signing_keys
       select 'old-' || kid, algorithm, public_jwk, encrypted_private_key,
         now() - interval '90 days', now() - interval '90 days', now() - interval '60 days', null, now() - interval '59 days'
       from signing_keys;
     update signing_keys set activated_at = now() - interval '60 days' where retired_at is null`,
  );
  const before = await tableOf(place);

  const wrong = await refuses(t, { ...place, KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64') });
  t.match(wrong, /^KEY_ENCRYPTION_KEY does not open signing key [\w-]{43}: .*\n$/);
  t.equal(await tableOf(place), before);

  const { KEY_ENCRYPTION_KEY, ...without } = place;
  const missing = await refuses(t, without);
  t.match(missing, /^These settings cannot be used:\nKEY_ENCRYPTION_KEY: is required .*\n$/);
  t.equal(await tableOf(place), before);

  await startServer(t, { ...without, KEY_ENCRYPTION_KEY });
  t.not(await tableOf(place), before, 'while the right one starts and does what was due');
});

/** The shortest safe periods. The next test makes each of them too short. */
const safe = {
  JWKS_MAX_AGE: '1s',
  KEY_PUBLISH_AHEAD: '41s',
  KEY_ROTATION_EVERY: '41s',
  ACCESS_TOKEN_TTL: '1m',
  KEY_RETAIN: '90s',
};

const unsafe = [
  { setting: { JWKS_MAX_AGE: '2s' }, told: /^KEY_PUBLISH_AHEAD: must be at least JWKS_MAX_AGE \+ 40s/m },
  { setting: { KEY_PUBLISH_AHEAD: '40s' }, told: /^KEY_PUBLISH_AHEAD: must be at least JWKS_MAX_AGE/m },
  { setting: { ACCESS_TOKEN_TTL: '61s' }, told: /^KEY_RETAIN: must be at least ACCESS_TOKEN_TTL \+ 30s/m },
  { setting: { KEY_RETAIN: '89s' }, told: /^KEY_RETAIN: must be at least ACCESS_TOKEN_TTL/m },
  { setting: { KEY_ROTATION_EVERY: '40s' }, told: /^KEY_ROTATION_EVERY: must not be shorter/m },
  { setting: { JWKS_MAX_AGE: '11m' }, told: /^JWKS_MAX_AGE: "11m" is not accepted/m },
  { setting: { SIGNING_ALGORITHM: 'HS256' }, told: /^SIGNING_ALGORITHM: "HS256" is not accepted/m },
];

t.test('periods that are not safe together stop a server before it listens', async (t) => {
  const place = await createPlace(t);
  for (const { setting, told } of unsafe) {
    const [name = '', value = ''] = Object.entries(setting)[0] ?? [];
    await t.test(`${name}=${value}`, async (t) => {
      const stderr = await refuses(t, { ...place, ...safe, ...setting });
      t.match(stderr, told);
      t.equal(stderr.trim().split('\n').length, 2, 'one clear line below the heading');
    });
  }
  t.same(await runSql(place.DATABASE_URL, 'select kid from signing_keys'), [], 'and nothing was written');
  await startServer(t, { ...place, ...safe });
});
