/**
 * For docker-compose.yml: makes the secrets at the first start, each in a file of a volume, for the user `node` alone.
 * Existing secrets stay.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, ...others] = process.argv.slice(2);
const NODE_USER = 1000;

for (const path of [folder, ...others]) chownSync(path, NODE_USER, NODE_USER);
keep('key-encryption-key', () => randomBytes(32).toString('base64'));
const password = keep('postgres-password', () => randomBytes(24).toString('base64url'));
keep('database-url', () => `postgres://doorward:${password}@postgres/doorward`);

function keep(name, make) {
  const path = join(folder, name);
  if (!existsSync(path)) {
    writeFileSync(path, make(), { mode: 0o600 });
    chownSync(path, NODE_USER, NODE_USER);
  }
  return readFileSync(path, 'utf8');
}
