/**
 * For docker-compose.yml: registers a service client once, and puts its secret into a file for the service.
 *
 *     node register-client.js payments /credentials/payments
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';

const [id, path] = process.argv.slice(2);

if (!existsSync(path)) {
  const clients = JSON.parse(doorward('list'));
  const isKnown = clients.some(({ client_id }) => client_id === id);
  // The client exists but its secret is lost: the volume is new and the database is not.
  const answer = isKnown
    ? doorward('rotate-secret', id, '--overlap', '0s')
    : doorward('add', id, '--audience', id);
  writeFileSync(path, JSON.parse(answer).client_secret, { mode: 0o600 });
}

function doorward(...args) {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  return execFileSync(process.execPath, ['src/cli.ts', 'clients', ...args, '--json'], options);
}
