/** `npm run bench:seed`: fills an empty database with users and sessions. Goes on where it was interrupted. */
import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { migratePostgres } from '../src/db/migrate-postgres.ts';
import { openClient } from '../src/db/postgres-client.ts';
import { hashSeeded, seedDatabase, type TableSize, tableSizes } from './seed-database.ts';
import { emailOf } from './seed-rows.ts';

type Options = { users: number; sessions: number; seed: number; batch: number };

const options = new Command('npm run bench:seed --')
  .description(
    'Fills the database of DATABASE_URL, which must exist and be empty, with users and sessions. All users have one password: BENCH_PASSWORD, or a random one, which is printed.',
  )
  .option('--users <number>', 'users', count, 1_000_000)
  .option('--sessions <number>', 'sessions, over all users', count, 5_000_000)
  .option('--seed <number>', 'another one gives other numbers of sessions', count, 1)
  .option('--batch <number>', 'sessions in one transaction', count, 50_000)
  .parse()
  .opts<Options>();

const { DATABASE_URL, BENCH_PASSWORD } = process.env;
if (!DATABASE_URL) throw new Error('set DATABASE_URL to an empty database');
const password = BENCH_PASSWORD || randomBytes(18).toString('base64url');
const sql = openClient(DATABASE_URL, { max: 1, onnotice: () => {} });
try {
  await migratePostgres(sql, () => {});
  const startedAt = performance.now();
  const { users, sessions, seed, batch } = options;
  const plan = { users, sessions, seed, atOnce: batch, passwordHash: await hashSeeded(password) };
  const stored = await seedDatabase(sql, plan, tell);
  const seconds = (performance.now() - startedAt) / 1000;
  await sql`vacuum (analyze) users, sessions`;
  const rows = stored.users + stored.sessions;
  process.stdout.write(
    `\n${stored.users} users and ${stored.sessions} sessions in ${seconds.toFixed(1)} s: ${(rows / seconds).toFixed(0)} rows/s\n` +
      `${(await tableSizes(sql)).map(describe).join('\n')}\n` +
      `sign in as ${emailOf(0)} to ${emailOf(users - 1)}, password ${password}\n`,
  );
} finally {
  await sql.end({ timeout: 1 });
}

/** One line, written over and over, on a terminal. */
function tell({ users, sessions }: { users: number; sessions: number }): void {
  const line = `${users} users, ${sessions} sessions`;
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${line}` : `${line}\n`);
}

function describe({ table, rows, heap, indexes }: TableSize): string {
  const parts: [name: string, bytes: number][] = [['heap', heap], ...Object.entries(indexes)];
  const lines = parts.map(
    ([name, bytes]) => `  ${name.padEnd(30)} ${mb(bytes)} MB, ${perRow(bytes, rows)} a row`,
  );
  const all = parts.reduce((total, [, bytes]) => total + bytes, 0);
  return [`${table}: ${rows} rows, ${mb(all)} MB, ${perRow(all, rows)} a row`, ...lines].join('\n');
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function perRow(bytes: number, rows: number): string {
  return `${(bytes / Math.max(1, rows)).toFixed(0)} bytes`;
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 2_000_000_000) return value;
  throw new InvalidArgumentError('a whole number, at least 1');
}
