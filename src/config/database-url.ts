/** `DATABASE_URL`, decoded. The user, its password and the hosts may be left out, for the driver's defaults. */
export type DatabaseTarget = {
  /** With a port for each. Empty for a Unix socket. */
  hosts: { host: string; port: number }[];
  socket: string | undefined;
  database: string;
  username: string | undefined;
  password: string | undefined;
  tls: DatabaseTls | null;
  connectTimeoutSeconds: number | undefined;
  /** Among several hosts: only one that takes changes. */
  targetSession: 'read-write' | 'primary' | undefined;
  prepare: boolean | undefined;
  /** Settings of PostgreSQL for each connection. */
  startup: Record<string, string>;
};

/** How the connection is encrypted. The files are paths of PEM files. */
export type DatabaseTls = {
  /** `prefer`: if the server can. `require`: whatever its certificate. `verify-ca`: with a trusted certificate. */
  mode: 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** Undefined for the authorities that Node trusts. */
  rootCertificateFile: string | undefined;
  certificateFile: string | undefined;
  keyFile: string | undefined;
  /** Begins with TLS at once, without asking (PostgreSQL 17). */
  direct: boolean;
};

/** The URL cannot be used: the message names the part or the parameter, and contains no value from the URL. */
export class DatabaseUrlError extends Error {
  override readonly name = 'DatabaseUrlError';
}

const ADDRESS = String.raw`(?:\[[\da-fA-F:.]+\]|[^:[\],@/?#]*)(?::\d{1,5})?`;
const FORM = new RegExp(
  String.raw`^postgres(?:ql)?://(?:([^/?#]*)@)?(${ADDRESS}(?:,${ADDRESS})*)(?:/([^/?#]*))?(?:\?([^#]*))?$`,
);
const DEFAULT_PORT = 5432;

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** Passed on to PostgreSQL as they are. */
const STARTUP = ['application_name', 'options', 'search_path'];

/** What may be asked for, and if it is only one of a few words, which. All names but `prepare` are those of libpq. */
const PARAMETERS: Record<string, string[] | null> = {
  host: null,
  port: null,
  dbname: null,
  user: null,
  password: null,
  sslmode: SSL_MODES,
  ssl: ['true', 'false', ...SSL_MODES],
  sslrootcert: null,
  sslcert: null,
  sslkey: null,
  sslnegotiation: ['postgres', 'direct'],
  // `require` would need what the driver cannot do.
  channel_binding: ['disable', 'prefer'],
  gssencmode: ['disable', 'prefer'],
  connect_timeout: null,
  target_session_attrs: ['any', 'read-write', 'primary'],
  prepare: ['true', 'false'],
  ...Object.fromEntries(STARTUP.map((name) => [name, null])),
};

type Parameters = Record<string, string | undefined>;

/**
 * Reads a connection URI of PostgreSQL (libpq), with one host or several.
 * @returns null for what is none
 * @throws DatabaseUrlError for what could not be done exactly as it is asked for
 */
export function parseDatabaseUrl(url: string): DatabaseTarget | null {
  const [form, login, authority = '', path = '', query = ''] = FORM.exec(url) ?? [];
  if (form === undefined) return null;
  const [user, password] = parseLogin(login);
  const addresses = parseAddresses(authority);
  const name = decode(path, 'name of the database');
  const parameters = parseQuery(query);
  const database = parameters.dbname || name;
  if (database === '') throw new DatabaseUrlError('it names no database: add /NAME after the host');
  return {
    ...placeOf(addresses, parameters),
    database,
    username: parameters.user ?? user,
    password: parameters.password ?? password,
    tls: tlsOf(parameters),
    connectTimeoutSeconds: secondsOf(parameters.connect_timeout),
    targetSession: targetSessionOf(parameters),
    prepare: parameters.prepare === undefined ? undefined : parameters.prepare === 'true',
    startup: Object.fromEntries(STARTUP.flatMap((key) => (parameters[key] ? [[key, parameters[key]]] : []))),
  };
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new DatabaseUrlError(`its ${part} has a % that encodes nothing: write %25 for a %`);
  }
}

function parseLogin(login = ''): [user: string | undefined, password: string | undefined] {
  const [user = '', ...password] = login.split(':');
  return [decode(user, 'user name') || undefined, decode(password.join(':'), 'password') || undefined];
}

type Address = { host: string; port: number };

function parseAddresses(list: string): Address[] {
  return list.split(',').map((address) => {
    // The form of the URL has been checked: this always matches.
    const [, host, port = DEFAULT_PORT] = /^(.*?)(?::(\d+))?$/.exec(address) as unknown as [
      string,
      string,
      string?,
    ];
    return { host: decode(host.replace(/^\[|\]$/g, ''), 'host'), port: checkPort(Number(port)) };
  });
}

function checkPort(port: number): number {
  if (port >= 1 && port <= 65_535) return port;
  throw new DatabaseUrlError('a port must be a number from 1 to 65535');
}

function parseQuery(query: string): Parameters {
  const parameters = Object.fromEntries(new URLSearchParams(query));
  for (const [name, value] of Object.entries(parameters)) checkParameter(name, value);
  return parameters;
}

function checkParameter(name: string, value: string): void {
  if (!Object.hasOwn(PARAMETERS, name)) {
    // A name that is none may be a part of a password.
    const known = /^[a-z_]{1,40}$/i.test(name) ? name : 'with that name';
    throw new DatabaseUrlError(
      `the parameter ${known} is not known here: leave it out; settings of PostgreSQL go into options (options=-c%20NAME%3DVALUE)`,
    );
  }
  const words = PARAMETERS[name];
  if (words?.includes(value) === false) {
    throw new DatabaseUrlError(`${name} must be one of ${words.join(', ')} here`);
  }
}

/** `host` and `port` among the parameters replace those before the path, as for Unix sockets they have to. */
function placeOf(addresses: Address[], { host, port }: Parameters): Pick<DatabaseTarget, 'hosts' | 'socket'> {
  const hosts =
    host === undefined ? addresses : host.split(',').map((name) => ({ host: name, port: DEFAULT_PORT }));
  const placed = port === undefined ? hosts : hosts.map((one) => ({ ...one, port: checkPort(Number(port)) }));
  const [folder] = placed.filter((one) => one.host.startsWith('/'));
  if (folder === undefined) return { hosts: placed.filter((one) => one.host !== ''), socket: undefined };
  if (placed.length > 1) throw new DatabaseUrlError('a Unix socket must be the only host');
  return { hosts: [], socket: `${folder.host}/.s.PGSQL.${folder.port}` };
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new DatabaseUrlError('connect_timeout must be a number of seconds, at least 1');
}

function targetSessionOf({ target_session_attrs: wish }: Parameters): DatabaseTarget['targetSession'] {
  return wish === 'read-write' || wish === 'primary' ? wish : undefined;
}

function tlsOf(parameters: Parameters): DatabaseTls | null {
  const { sslrootcert, sslcert, sslkey, sslnegotiation } = parameters;
  const mode = tlsModeOf(parameters);
  if ((sslcert === undefined) !== (sslkey === undefined))
    throw new DatabaseUrlError('sslcert goes with sslkey: set both or neither');
  for (const [name, value] of Object.entries({ sslrootcert, sslcert })) {
    if (value !== undefined && (mode === null || mode === 'prefer'))
      throw new DatabaseUrlError(`${name} has no effect without encryption: add sslmode=verify-full`);
  }
  if (sslrootcert === 'system' && mode !== 'verify-full')
    throw new DatabaseUrlError('sslrootcert=system goes with sslmode=verify-full');
  if (sslnegotiation === 'direct' && (mode === null || mode === 'prefer'))
    throw new DatabaseUrlError('sslnegotiation=direct goes with sslmode=require, verify-ca or verify-full');
  if (mode === null) return null;
  return {
    // As libpq does: a root certificate is there to be compared with.
    mode: mode === 'require' && sslrootcert !== undefined ? 'verify-ca' : mode,
    rootCertificateFile: sslrootcert === 'system' ? undefined : sslrootcert,
    certificateFile: sslcert,
    keyFile: sslkey,
    direct: sslnegotiation === 'direct',
  };
}

function tlsModeOf({ sslmode, ssl, sslrootcert }: Parameters): DatabaseTls['mode'] | null {
  const wish = sslmode ?? ssl ?? (sslrootcert === 'system' ? 'verify-full' : 'disable');
  if (wish === 'disable' || wish === 'false') return null;
  if (wish === 'true') return 'verify-full';
  return wish === 'allow' ? 'prefer' : (wish as DatabaseTls['mode']);
}
