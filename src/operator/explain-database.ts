import type { Config } from '../config/config.ts';
import { type DatabaseTarget, parseDatabaseUrl } from '../config/database-url.ts';
import { addressesOf, type Explanations, explanationOf } from './explanations.ts';

/** What PostgreSQL answers, or why a connection is not made; and what an operator can do about it. */
const EXPLANATIONS: Explanations = [
  [
    /^ECONNREFUSED$/,
    'no server accepts connections there. Start PostgreSQL, or correct the host and port in DATABASE_URL',
  ],
  [/^ENOTFOUND$/, 'no host has this name. Correct it in DATABASE_URL'],
  [
    /^EAI_/,
    'the name of the host cannot be looked up. Look at the DNS of this machine, or correct the host in DATABASE_URL',
  ],
  [
    /^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL)$/,
    'no network leads there from this machine. Correct the host in DATABASE_URL, or look at the routes of the network',
  ],
  [
    /^(ENOENT|ENOTSOCK|ENOTDIR)$/,
    'there is no such socket. Start PostgreSQL, or correct the host in DATABASE_URL',
  ],
  [
    /^(EACCES|EPERM)$/,
    'this process may not open the connection. Give its user the right to the socket, or correct the host in DATABASE_URL',
  ],
  [
    /^(CONNECT_TIMEOUT|ETIMEDOUT|no answer)/,
    'it gives no answer in time. Check the host and port in DATABASE_URL, a firewall on the way, and whether PostgreSQL is overloaded',
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'its certificate is for another host. Write the host in DATABASE_URL as the certificate has it, or set sslmode=verify-ca',
  ],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/, 'its certificate is not valid at this time. Renew it'],
  [
    /^(CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)/,
    'its certificate is not trusted. Name the file of its authority in DATABASE_URL (sslrootcert=…)',
  ],
  [
    /^ERR_TLS_NOT_OFFERED$/,
    'it takes no encrypted connections. Leave sslmode out of DATABASE_URL, or turn on ssl of PostgreSQL',
  ],
  [
    /^(ERR_SSL_|ERR_TLS_|EPROTO)/,
    'no encrypted connection can be made. Check sslmode in DATABASE_URL, and ssl of PostgreSQL',
  ],
  [/^(ECONNRESET|EPIPE|CONNECTION_)/, 'it closed the connection. Look at its log'],
  [
    /^AUTH_TYPE_NOT_IMPLEMENTED$/,
    'it asks for a way to log in that is not known here. Set scram-sha-256 for this user in pg_hba.conf',
  ],
  [
    /^SASL_/,
    'it does not know the password of this user itself, so it may be another server than you mean. Check the host and port in DATABASE_URL',
  ],
  [
    /^08/,
    'it refuses the connection. If this is a pooler, it may not know the database or the user: look at its log and settings',
  ],
  [/^28P01$/, 'the password is wrong, or there is no such user. Correct them in DATABASE_URL'],
  [
    /^28/,
    'there is no such user, or pg_hba.conf does not admit it from this machine. Correct the user in DATABASE_URL, create it, or add a line to pg_hba.conf, which may ask for sslmode=require',
  ],
  [/^3D000$/, 'there is no such database. Create it, or correct its name in DATABASE_URL'],
  [
    /^25006$/,
    'it is read-only. Name the server that takes changes in DATABASE_URL, or reset default_transaction_read_only',
  ],
  [
    /^42501$/,
    'the user has no right to do this. Grant it SELECT, INSERT, UPDATE and DELETE on all tables; to migrate, use the one that owns them',
  ],
  [
    /^42P01$/,
    'it has no schema yet. Run `doorward migrate`, or set MIGRATE_ON_START=true. If it has one, look at the search_path of the user',
  ],
  [
    /^42703$/,
    'its schema is not that of this release. Run `doorward migrate` as the user that owns the tables',
  ],
  [
    /^42(P07|710|723)$/,
    'its schema already has something of that name which no migration made. Give Doorward a schema of its own, with search_path in DATABASE_URL',
  ],
  [/^42704$/, 'it does not know a setting in the options of DATABASE_URL. Correct or remove that setting'],
  [/^53100$/, 'its disk is full. Free some space on it. The data is sound'],
  [/^53300$/, 'it has no connection left. Lower DATABASE_POOL_SIZE, or raise its max_connections'],
  [/^57P03$/, 'it is starting or stopping. Try again in a moment'],
  [/^(53|57|58|XX)/, 'it is in trouble itself. Look at its log'],
];

/**
 * One sentence for an operator.
 * @param code a SQLSTATE, the code of an error of the connection, or `no answer…`
 * @returns null when there is no more to say than that it failed
 */
export function explainDatabase(code: string): string | null {
  const text = explanationOf(EXPLANATIONS, code);
  return text === undefined ? null : `${text} (${code}).`;
}

/** Where the database is, as the settings say it: host, port, database and user, but never the password. */
export function databasePlace({ DATABASE_URL, DATA_DIR }: Config): string {
  const target = parseDatabaseUrl(DATABASE_URL ?? '');
  if (target === null) return `The database in ${DATA_DIR}`;
  const { database, username } = target;
  const user = username === undefined ? 'no user given' : `user ${JSON.stringify(username)}`;
  return `PostgreSQL at ${addressOf(target)} (database ${JSON.stringify(database)}, ${user})`;
}

function addressOf({ hosts, socket }: DatabaseTarget): string {
  return socket ?? (addressesOf(hosts) || 'the default host');
}
