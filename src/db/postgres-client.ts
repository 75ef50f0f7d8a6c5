import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  type SecureContext,
} from 'node:tls';
import postgres, { type Options, type Sql } from 'postgres';
import { ConfigError } from '../config/config.ts';
import { type DatabaseTarget, type DatabaseTls, parseDatabaseUrl } from '../config/database-url.ts';

type ClientOptions = Options<Record<string, never>>;

/**
 * A client of the driver for a `DATABASE_URL`. The driver's own reading of URLs is not used: it makes settings of
 * PostgreSQL of parameters that it does not know, and takes the name of the user for that of a missing database.
 * @param options what the code sets: `connection` are settings of PostgreSQL, over which those in the URL have priority
 * @param databaseUrl as the settings accept it
 * @throws ConfigError when a certificate of the URL cannot be used
 */
export function openClient(databaseUrl: string, { connection, ...options }: ClientOptions): Sql {
  const target = parseDatabaseUrl(databaseUrl) as DatabaseTarget;
  return postgres({
    ...options,
    ...optionsOf(target),
    connection: { ...connection, ...target.startup },
  });
}

/** Only what the URL says: for everything else the driver has defaults. */
function optionsOf(target: DatabaseTarget): ClientOptions {
  const { hosts, socket, database, username, password, tls } = target;
  const given = {
    host: hosts.length > 0 ? hosts.map(({ host }) => host) : undefined,
    port: hosts.length > 0 ? hosts.map(({ port }) => port) : undefined,
    path: socket,
    username,
    password,
    connect_timeout: target.connectTimeoutSeconds,
    // With `read-write` the driver takes a standby too: it looks only at the default of transactions, which is off there.
    target_session_attrs: target.targetSession && ('primary' as const),
    prepare: target.prepare,
    sslnegotiation: tls?.direct ? ('direct' as const) : undefined,
  };
  const said = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return {
    ...said,
    database,
    ssl:
      tls === null
        ? false
        : tlsOptions(
            tls,
            hosts.map(({ host }) => host),
          ),
  };
}

function tlsOptions(tls: DatabaseTls, hosts: string[]): 'prefer' | ConnectionOptions {
  if (tls.mode === 'prefer') return 'prefer';
  return {
    secureContext: secureContextOf(tls),
    rejectUnauthorized: tls.mode !== 'require',
    checkServerIdentity: (name, certificate) =>
      tls.mode === 'verify-full' ? checkHost(name, hosts, certificate) : undefined,
  };
}

type Certificate = Parameters<typeof checkServerIdentity>[1];

/**
 * The driver passes on names, but no IP addresses: then Node asks for `localhost`, which the certificate of a server
 * elsewhere must not be good for.
 */
function checkHost(name: string, hosts: string[], certificate: Certificate): Error | undefined {
  const possible = hosts.includes(name) ? [name] : hosts.filter((host) => isIP(host) !== 0);
  const mismatches = possible.map((host) => checkServerIdentity(host, certificate));
  return mismatches.includes(undefined) ? undefined : mismatches[0];
}

function secureContextOf({ rootCertificateFile, certificateFile, keyFile }: DatabaseTls): SecureContext {
  // Node takes no notice of a root certificate that is none, and would trust nothing then.
  const ca = readPem('sslrootcert', rootCertificateFile, (text) => new X509Certificate(text));
  const cert = readPem('sslcert', certificateFile, (text) => new X509Certificate(text));
  const key = readPem('sslkey', keyFile, createPrivateKey);
  try {
    return createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  } catch (cause) {
    throw new ConfigError([`DATABASE_URL: sslkey is not the key of sslcert (${codeOf(cause)})`]);
  }
}

function readPem(
  parameter: string,
  path: string | undefined,
  check: (text: string) => unknown,
): string | undefined {
  if (path === undefined) return undefined;
  try {
    const text = readFileSync(path, 'utf8');
    check(text);
    return text;
  } catch (error) {
    throw new ConfigError([
      `DATABASE_URL: the file that ${parameter} names cannot be used (${codeOf(error)})`,
    ]);
  }
}

function codeOf(error: unknown): string {
  return String(Object(error).code);
}
