/**
 * For docker-compose.yml: makes the secrets at the first start, in a folder for each service that reads them, readable for
 * that service's user alone. Existing secrets stay.
 *
 *     node make-secrets.js /secrets
 */
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [root] = process.argv.slice(2);
/** The user of the containers that are started as no other. The image of PostgreSQL reads its password as root. */
const USER = 1000;
const ROOT = 0;

const postgres = keep('postgres/password', ROOT, password());
const redis = keep('redis/password', USER, password());
keep('redis/redis.conf', USER, `requirepass ${redis}\n`);
keep('doorward/database-url', USER, `postgres://doorward:${postgres}@postgres/doorward`);
keep('doorward/redis-url', USER, `redis://:${redis}@redis`);
keep('doorward/key-encryption-key', USER, randomBytes(32).toString('base64'));
// For what `register` puts there.
own('payments', USER);

/** Without characters that a URL or a configuration file would read as something else. */
function password() {
  return randomBytes(24).toString('base64url');
}

/** @returns what is in the file: what was there before, otherwise the new secret */
function keep(name, user, secret) {
  const path = join(root, name);
  own(dirname(name), user);
  if (!existsSync(path)) writeFileSync(path, secret, { mode: 0o600 });
  chownSync(path, user, user);
  return readFileSync(path, 'utf8');
}

function own(name, user) {
  const path = join(root, name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chownSync(path, user, user);
}
