/**
 * `npm run bench:imports -- [ROWS…] [FORMAT…]`: imports files of so many users (100,000 and a million) of these formats (three)
 * into an empty PostgreSQL, in a process of its own as an operator does, and compares an export with that of a second database into which it was imported.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createPlace } from './place.ts';

type Format = { name: string; head: string; between: string; tail: string; user(index: number): object };

const base64 = (bytes: number) => randomBytes(bytes).toString('base64');
const bcryptText = (length: number) => randomBytes(length).toString('hex').slice(0, length);
const CREATED = Date.UTC(2024, 0, 1);

/** Hashes of the right form, of no password: an import does not check them. */
const FORMATS: Format[] = [
  {
    ...{ name: 'ndjson', head: '', between: '\n', tail: '\n' },
    user: (index) => ({
      email: `user${index}@example.com`,
      email_verified: true,
      password_hash: `$2b$10$${bcryptText(21)}.${bcryptText(31)}`,
      display_name: `User ${index}`,
      metadata: { plan: 'pro', theme: 'dark' },
      external_id: `n${index}`,
      created_at: new Date(CREATED + index).toISOString(),
    }),
  },
  {
    ...{ name: 'auth0', head: '', between: '\n', tail: '\n' },
    user: (index) => ({
      _id: { $oid: index.toString(16).padStart(24, '0') },
      email: `user${index}@example.com`,
      email_verified: true,
      passwordHash: `$2b$10$${bcryptText(21)}.${bcryptText(31)}`,
      password_set_date: { $date: '2021-03-05T16:34:49.502Z' },
      tenant: 'bench',
      connection: 'Username-Password-Authentication',
    }),
  },
  {
    ...{ name: 'keycloak', head: '{"realm":"bench","users":[', between: ',\n', tail: ']}\n' },
    user: (index) => ({
      id: `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
      createdTimestamp: CREATED + index,
      username: `user${index}`,
      ...{ enabled: true, emailVerified: true, email: `user${index}@example.com` },
      ...{ firstName: 'User', lastName: String(index), attributes: { locale: ['en'] } },
      credentials: [
        {
          type: 'password',
          secretData: JSON.stringify({ value: base64(32), salt: base64(16), additionalParameters: {} }),
          credentialData:
            '{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}',
        },
      ],
      ...{ disableableCredentialTypes: [], requiredActions: [], realmRoles: ['default-roles-bench'] },
    }),
  },
];

const folder = mkdtempSync(join(tmpdir(), 'doorward-imports-'));
const place = await createPlace();
try {
  await run('migrate');
  process.stdout.write(
    '| format | users | seconds | users a minute | CPU seconds | users a minute and core | peak RSS |\n|---|---|---|---|---|---|---|\n',
  );
  const words = process.argv.slice(2);
  const sizes = words.map(Number).filter((size) => size > 0);
  const formats = FORMATS.filter(({ name }) => words.includes(name));
  for (const size of sizes.length > 0 ? sizes : [100_000, 1_000_000])
    for (const format of formats.length > 0 ? formats : FORMATS) await measure(format, size);
  await compareRoundTrip();
} finally {
  await place.close();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(format: Format, size: number): Promise<void> {
  await place.sql.unsafe('truncate users cascade');
  const file = join(folder, `${format.name}-${size}`);
  await pipeline(Readable.from(textOf(format, size)), createWriteStream(file));
  const { seconds, cpuSeconds, rssMiB } = await run('users', 'import', file, '--from', format.name);
  const [{ count } = { count: 0 }] = await place.sql<{ count: number }[]>`select count(*)::int from users`;
  if (count !== size) throw new Error(`${count} of ${size} users were taken`);
  const rate = (time: number) => Math.round((size / time) * 60);
  process.stdout.write(
    `| ${format.name} | ${size} | ${seconds.toFixed(1)} | ${rate(seconds)} | ${cpuSeconds.toFixed(1)} | ${rate(cpuSeconds)} | ${rssMiB} MiB |\n`,
  );
  rmSync(file);
}

function* textOf({ head, between, tail, user }: Format, size: number): Generator<string> {
  yield head;
  for (let index = 0; index < size; index += 1) {
    yield `${index === 0 ? '' : between}${JSON.stringify(user(index))}`;
  }
  yield tail;
}

/** Of the users that were imported last. */
async function compareRoundTrip(): Promise<void> {
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  await run('users', 'export', first);
  await place.sql.unsafe('truncate users cascade');
  await run('users', 'import', first);
  await run('users', 'export', second);
  const isSame = (await sumOf(first)) === (await sumOf(second));
  process.stdout.write(`\nexport -> import -> export: ${isSame ? 'the same bytes' : 'DIFFERENT'}\n`);
}

async function sumOf(file: string): Promise<string> {
  const sum = createHash('sha256');
  await pipeline(createReadStream(file), sum);
  return sum.digest('hex');
}

/** CPU and memory are those of the command, as GNU time tells them; the database has processes of its own. */
async function run(...args: string[]) {
  const started = performance.now();
  const child = spawn('/usr/bin/time', ['-f', '%U %S %M', process.execPath, 'src/cli.ts', ...args], {
    env: { ...process.env, ...place.settings },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let told = '';
  child.stderr.on('data', (text) => {
    told += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(told);
  const [user = 0, system = 0, rssKiB = 0] = told.trim().split('\n').at(-1)?.split(' ').map(Number) ?? [];
  const seconds = (performance.now() - started) / 1_000;
  return { seconds, cpuSeconds: user + system, rssMiB: Math.round(rssKiB / 1_024) };
}
