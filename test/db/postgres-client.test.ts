import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { t as root, test } from 'tap';
import { cleanError } from '../../src/db/database-guard.ts';
import { openClient } from '../../src/db/postgres-client.ts';
import { explainError } from '../../src/operator/explain-error.ts';
import { makeCertificates } from '../support/certificates.ts';
import { createTestDatabase } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import { startPostgres, startTlsPostgres } from '../support/servers.ts';

const folder = root.testdir({ right: {}, other: {} });
const { caFile, certificate, key } = await makeCertificates(join(folder, 'right'), 'IP:127.0.0.1');
const other = await makeCertificates(join(folder, 'other'), 'DNS:db.test');
const server = await startTlsPostgres(certificate, key);
root.teardown(server.stop.bind(server));
const forOtherHost = await startTlsPostgres(other.certificate, other.key);
root.teardown(forOtherHost.stop.bind(forOtherHost));

const password = `a%b:c@d/${randomBytes(6).toString('hex')}`;
const admin = postgres(server.url, { max: 1 });
await admin.unsafe(`create role ada login password '${password}'`);
await admin.end();

/** Connects as `ada`, whom the server admits only with a password and TLS. */
async function connectTo(url: string) {
  const client = openClient(url, { max: 1, connect_timeout: 10 });
  try {
    const [row] = await client<{ tls: boolean; path: string; name: string }[]>`
      select ssl as tls, current_setting('search_path') as path, current_setting('application_name') as name
      from pg_stat_ssl where pid = pg_backend_pid()`;
    return { ...row };
  } catch (error) {
    throw cleanError(error);
  } finally {
    await client.end({ timeout: 1 });
  }
}

const production = {
  REDIS_URL: 'redis://127.0.0.1',
  KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
};

function explained(url: string): Promise<string> {
  return connectTo(url).then(
    () => 'connected',
    (error: unknown) => explainError(error, { ...production, DATABASE_URL: url }),
  );
}

function urlOf({ port }: { port: number }, query: string, pass = password): string {
  return `postgres://ada:${encodeURIComponent(pass)}@127.0.0.1:${port}/postgres${query}`;
}

test('encrypts as sslmode asks for it, and trusts a private authority', async (t) => {
  const queries = [
    'sslmode=prefer',
    'sslmode=require',
    'sslmode=require&channel_binding=prefer',
    `sslmode=require&sslrootcert=${caFile}`,
    `sslmode=verify-ca&sslrootcert=${caFile}`,
    `sslmode=verify-full&sslrootcert=${caFile}`,
  ];
  for (const query of queries) t.match(await connectTo(urlOf(server, `?${query}`)), { tls: true }, query);
  const otherCa = `?sslmode=verify-ca&sslrootcert=${other.caFile}`;
  t.match(await explained(urlOf(forOtherHost, otherCa)), /28P01/, 'verify-ca asks for no name');
});

test('says which certificate is not trusted, and why', async (t) => {
  const untrusted = / its certificate is not trusted\. .*sslrootcert.* \([A-Z_]+\)\.$/;
  for (const query of [
    'sslmode=verify-full',
    'sslrootcert=system',
    `sslmode=verify-ca&sslrootcert=${other.caFile}`,
    `sslmode=require&sslrootcert=${other.caFile}`,
  ]) {
    t.match(await explained(urlOf(server, `?${query}`)), untrusted, query);
  }
  const otherName = `?sslmode=verify-full&sslrootcert=${other.caFile}`;
  t.match(await explained(urlOf(forOtherHost, otherName)), / its certificate is for another host\. /);
});

test('a certificate for localhost is not good for an address', async (t) => {
  const folder = t.testdir();
  const local = await makeCertificates(folder, 'DNS:localhost');
  const server = await startTlsPostgres(local.certificate, local.key);
  t.teardown(server.stop.bind(server));
  const query = `?sslmode=verify-full&sslrootcert=${local.caFile}`;
  t.match(await explained(urlOf(server, query)), / its certificate is for another host\. /);
  const byName = urlOf(server, query).replace('127.0.0.1', 'localhost');
  t.match(await explained(byName), /28P01/, 'and is for its name');
});

test('says that the password or the lack of TLS is the reason', async (t) => {
  t.match(await explained(urlOf(server, '?sslmode=require', 'wrong')), / the password is wrong, /);
  const plain = await startPostgres();
  t.teardown(plain.stop.bind(plain));
  t.match(
    await explained(`${plain.url}?sslmode=require`),
    / it takes no encrypted connections\. Leave sslmode out of DATABASE_URL/,
  );
  t.match(await explained(urlOf(server, '')), / does not admit it .*sslmode=require/);
});

test('a certificate file that cannot be used is named', async (t) => {
  const bad = t.testdir({ 'bad.pem': 'no certificate' });
  const broken = join(bad, 'broken.pem');
  writeFileSync(broken, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  const cases: [query: string, parameter: string, code: string][] = [
    [`sslrootcert=${join(bad, 'none')}`, 'sslrootcert', 'ENOENT'],
    [`sslrootcert=${bad}`, 'sslrootcert', 'EISDIR'],
    [`sslrootcert=${join(bad, 'bad.pem')}`, 'sslrootcert', 'ERR_OSSL_'],
    [`sslrootcert=${broken}`, 'sslrootcert', 'ERR_OSSL_'],
    [`sslcert=${broken}&sslkey=${caFile}`, 'sslcert', 'ERR_OSSL_'],
    [`sslcert=${caFile}&sslkey=${caFile}`, 'sslkey', 'ERR_OSSL_'],
  ];
  for (const [query, parameter, code] of cases) {
    t.throws(() => openClient(urlOf(server, `?sslmode=verify-full&${query}`), {}), {
      name: 'ConfigError',
      message: `DATABASE_URL: the file that ${parameter} names cannot be used (${code}`,
    });
  }
});

test('sends a certificate of its own', async (t) => {
  const files = join(folder, 'own');
  mkdirSync(files);
  await makeCertificates(files, 'DNS:ada');
  const query = `?sslmode=require&sslcert=${join(files, 'server.pem')}&sslkey=${join(files, 'server.key')}`;
  const wrongKey = `?sslmode=require&sslcert=${join(files, 'server.pem')}&sslkey=${join(files, 'ca.key')}`;
  t.match(await connectTo(urlOf(server, query)), { tls: true });
  t.throws(() => openClient(urlOf(server, wrongKey), {}), {
    name: 'ConfigError',
    message: /sslkey is not the key of sslcert/,
  });
});

test('a server that asks for a certificate admits the role that the certificate names, and no other', async (t) => {
  const files = { ours: join(folder, 'client'), foreign: join(folder, 'foreign') };
  for (const path of Object.values(files)) mkdirSync(path);
  // The names of the certificates that are made here are "test server", so the role has that name.
  const { caFile: clientCa } = await makeCertificates(files.ours, 'DNS:client');
  await makeCertificates(files.foreign, 'DNS:client');
  const strict = await startTlsPostgres(certificate, key, readFileSync(clientCa, 'utf8'));
  t.teardown(strict.stop.bind(strict));
  const sql = postgres(strict.url, { max: 1 });
  await sql.unsafe('create role "test server" login; create role ada login');
  await sql.end();
  const url = (role: string, path?: string) => {
    const own =
      path === undefined ? '' : `&sslcert=${join(path, 'server.pem')}&sslkey=${join(path, 'server.key')}`;
    const query = `sslmode=verify-full&sslrootcert=${caFile}${own}`;
    return `postgres://${role}@127.0.0.1:${strict.port}/postgres?${query}`;
  };
  t.match(await connectTo(url('test%20server', files.ours)), { tls: true });
  for (const refused of [url('test%20server'), url('test%20server', files.foreign), url('ada', files.ours)])
    await t.rejects(connectTo(refused), refused);
});

test('goes on to the next of several hosts', async (t) => {
  const url = urlOf(server, '?sslmode=require&target_session_attrs=read-write');
  const gone = await freePort();
  t.match(await connectTo(url.replace('@', `@127.0.0.1:${gone},`)), { tls: true });
});

test('settings in the URL have priority over those of the code, and a socket is a place too', async (t) => {
  const { url } = await createTestDatabase(t);
  t.match(await connectTo(`${url}?search_path=a,b&application_name=x`), { path: 'a,b', name: 'x' });
  const { options } = openClient('postgres:///auth?host=/run/none&port=7&connect_timeout=9', { max: 1 });
  t.match(options, { path: '/run/none/.s.PGSQL.7', database: 'auth', connect_timeout: 9, ssl: false });
});

test('begins with encryption at once where the URL says so', async (t) => {
  const client = openClient('postgres://db.example.com/name?sslmode=require&sslnegotiation=direct', {});
  t.teardown(() => client.end());
  t.equal((client.options as { sslnegotiation?: string }).sslnegotiation, 'direct');
});
