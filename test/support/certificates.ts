import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tryToInstall } from './debian-package.ts';

const run = promisify(execFile);
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];

/** An authority, and a certificate of it with its key. `caFile` is a path, the others are PEM. */
export type Certificates = { caFile: string; certificate: string; key: string };

/**
 * Makes a private authority, and a certificate of it.
 * @param folder an empty folder, for the files
 * @param names of the server, such as `DNS:localhost,IP:127.0.0.1`
 */
export async function makeCertificates(folder: string, names: string): Promise<Certificates> {
  const [caFile, caKey, file, keyFile] = ['ca.pem', 'ca.key', 'server.pem', 'server.key'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  await openssl('req', '-x509', ...EC, '-subj', '/CN=test authority', '-keyout', caKey, '-out', caFile);
  await openssl(
    ...['req', '-x509', ...EC, '-subj', '/CN=test server', '-addext', `subjectAltName=${names}`],
    ...['-CA', caFile, '-CAkey', caKey, '-keyout', keyFile, '-out', file],
  );
  return { caFile, certificate: readFileSync(file, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

async function openssl(...args: string[]): Promise<void> {
  await run('openssl', args).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    await tryToInstall('openssl');
    await run('openssl', args);
  });
}
