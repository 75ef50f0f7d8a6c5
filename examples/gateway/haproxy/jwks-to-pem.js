/**
 * Writes the public keys of a JWKS where HAProxy reads them: 1.pem to 4.pem, the newest first; with fewer keys the last one
 * fills what is left. HAProxy knows no key ids, so kids.map says which file is meant by a `kid`, or rather by its hash.
 *
 *     node jwks-to-pem.js https://auth.example.com/.well-known/jwks.json /etc/haproxy/jwt && systemctl reload haproxy
 *
 * Run it every few minutes: a new key is published 15 minutes before it signs (KEY_PUBLISH_AHEAD), a leaked one is gone
 * at once. Ends with 0 when the files have changed, 2 when there was nothing to do, 1 when the keys could not be had;
 * then the files stay as they are.
 */
import { createHash, createPublicKey } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SLOTS = 4;
const [url, folder] = process.argv.slice(2);

try {
  if (folder === undefined) throw new Error('usage: jwks-to-pem.js JWKS-URL FOLDER');
  const keys = (await fetchKeys(url)).slice(0, SLOTS);
  mkdirSync(folder, { recursive: true });
  const slots = Array.from({ length: SLOTS }, (_, at) => keys[at] ?? keys.at(-1));
  const changed = slots.map((key, at) => write(`${at + 1}.pem`, pemOf(key)));
  changed.push(write('kids.map', keys.map(({ kid }, at) => `${hashOf(kid)} ${at + 1}\n`).join('')));
  process.exitCode = changed.includes(true) ? 0 : 2;
} catch (error) {
  process.stderr.write(`jwks-to-pem: ${error.cause?.code ?? error.message}\n`);
  process.exitCode = 1;
}

async function fetchKeys(from) {
  const response = await fetch(from, { redirect: 'error', signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(`${from} answers ${response.status}`);
  const { keys } = await response.json();
  // Only keys that HAProxy is configured for. Doorward lists the oldest key first.
  const usable = keys.filter(({ alg, crv, use }) => alg === 'ES256' && crv === 'P-256' && use === 'sig');
  if (usable.length === 0) throw new Error(`${from} has no ES256 key`);
  return usable.reverse();
}

function pemOf(key) {
  return createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
}

/** As in the other maps. */
function hashOf(kid) {
  return createHash('sha256').update(kid).digest('hex').slice(0, 16);
}

/** Writes the file as a whole, because HAProxy may read it at this moment. @returns whether it has changed */
function write(name, text) {
  const path = join(folder, name);
  if (read(path) === text) return false;
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return true;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
