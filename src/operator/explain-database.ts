/** What an operator can do about an answer of PostgreSQL, or about a connection that is not made. */
const EXPLANATIONS: [code: RegExp, text: string][] = [
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'The certificate of PostgreSQL is for another host than the one in DATABASE_URL: name that one, or set sslmode=verify-ca.',
  ],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    'The certificate of PostgreSQL is not valid at this time (CODE): renew it.',
  ],
  [
    /^(CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)/,
    'The certificate of PostgreSQL is not trusted (CODE): name the file of its authority in DATABASE_URL (sslrootcert=…).',
  ],
  [
    /^(ERR_SSL_|ERR_TLS_|EPROTO)/,
    'No encrypted connection to PostgreSQL can be made (CODE): check sslmode in DATABASE_URL, and ssl of PostgreSQL.',
  ],
  [
    /^ECONNRESET$/,
    'PostgreSQL closed the connection (CODE): look at its log. If it takes no encrypted connections, leave sslmode out of DATABASE_URL.',
  ],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'The host in DATABASE_URL is not found (CODE): check its name.'],
  [/^28P01$/, 'PostgreSQL refuses the user name or the password in DATABASE_URL (CODE).'],
  [
    /^28/,
    'PostgreSQL does not admit this user from here (CODE): check the user in DATABASE_URL and pg_hba.conf, which may ask for sslmode=require.',
  ],
  [/^3D000$/, 'The database in DATABASE_URL does not exist (CODE): create it, or correct its name.'],
  [
    /^25006$/,
    'The database is read-only (CODE): set DATABASE_URL to the server that takes changes, or reset default_transaction_read_only.',
  ],
  [
    /^42501$/,
    'The role in DATABASE_URL has no right to do this (CODE): grant it SELECT, INSERT, UPDATE and DELETE on all tables; to migrate, use the role that owns them.',
  ],
  [
    /^42P01$/,
    'The database has no schema yet: run `doorward migrate`, or set MIGRATE_ON_START=true. If it has one, look at the search_path of the role.',
  ],
  [
    /^42703$/,
    'The schema is not that of this release (CODE): run `doorward migrate` as the role that owns the tables.',
  ],
  [
    /^42(P07|710|723)$/,
    'The schema already has something of that name which no migration made (CODE): give Doorward a schema of its own, with search_path in DATABASE_URL.',
  ],
  [/^42704$/, 'PostgreSQL does not know a setting in the options of DATABASE_URL (CODE).'],
  [/^53100$/, 'The disk of the database is full (CODE): free some space on it. The data is sound.'],
  [
    /^53300$/,
    'PostgreSQL has no connection left (CODE): lower DATABASE_POOL_SIZE, or raise its max_connections.',
  ],
  [/^57P03$/, 'PostgreSQL is starting or stopping (CODE): try again in a moment.'],
];

/**
 * One sentence for an operator.
 * @param code a SQLSTATE, or the code of an error of the connection
 * @returns null when there is no more to say than that it failed
 */
export function explainDatabase(code: string): string | null {
  const [, text] = EXPLANATIONS.find(([pattern]) => pattern.test(code)) ?? [];
  return text?.replace('CODE', code) ?? null;
}
