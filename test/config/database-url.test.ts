import fc from 'fast-check';
import { test } from 'tap';
import { DatabaseUrlError, parseDatabaseUrl } from '../../src/config/database-url.ts';

const plain = {
  hosts: [{ host: 'db.test', port: 5432 }],
  socket: undefined,
  database: 'auth',
  username: undefined,
  password: undefined,
  tls: null,
  connectTimeoutSeconds: undefined,
  targetSession: undefined,
  prepare: undefined,
  startup: {},
};
const tls = { rootCertificateFile: undefined, certificateFile: undefined, keyFile: undefined, direct: false };

test('reads what a URL may say', async (t) => {
  const cases: [url: string, says: object][] = [
    ['postgres://db.test/auth', {}],
    ['postgresql://db.test:5433/auth', { hosts: [{ host: 'db.test', port: 5433 }] }],
    ['postgres://ada@db.test/auth', { username: 'ada' }],
    ['postgres://ada:a%25b:c%40%2f%23@db.test/auth', { username: 'ada', password: 'a%b:c@/#' }],
    ['postgres://ada:p@ss@db.test/auth', { username: 'ada', password: 'p@ss' }],
    [
      'postgres://db.test/auth?user=ada&password=x&dbname=other',
      { username: 'ada', password: 'x', database: 'other' },
    ],
    ['postgres://db.test?dbname=auth', {}],
    [
      'postgres://a:1,b,[::1]:2,/auth',
      {
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 5432 },
          { host: '::1', port: 2 },
        ],
      },
    ],
    ['postgres:///auth', { hosts: [] }],
    ['postgres:///auth?host=db.test&port=7', { hosts: [{ host: 'db.test', port: 7 }] }],
    ['postgres:///auth?host=/run/postgresql', { hosts: [], socket: '/run/postgresql/.s.PGSQL.5432' }],
    ['postgres://%2Frun%2Fpostgresql:7/auth', { hosts: [], socket: '/run/postgresql/.s.PGSQL.7' }],
    ['postgres://db.test/auth?connect_timeout=9&prepare=false', { connectTimeoutSeconds: 9, prepare: false }],
    [
      'postgres://db.test/auth?prepare=true&target_session_attrs=primary',
      { prepare: true, targetSession: 'primary' },
    ],
    ['postgres://db.test/auth?target_session_attrs=read-write', { targetSession: 'read-write' }],
    ['postgres://db.test/auth?target_session_attrs=any&channel_binding=prefer&gssencmode=disable', {}],
    [
      'postgres://db.test/auth?application_name=x&options=-c%20search_path%3Da&search_path=b,c',
      {
        startup: { application_name: 'x', options: '-c search_path=a', search_path: 'b,c' },
      },
    ],
    ['postgres://db.test/auth?sslmode=disable', {}],
    ['postgres://db.test/auth?ssl=false', {}],
    ['postgres://db.test/auth?sslmode=allow', { tls: { ...tls, mode: 'prefer' } }],
    ['postgres://db.test/auth?ssl=prefer', { tls: { ...tls, mode: 'prefer' } }],
    ['postgres://db.test/auth?sslmode=require', { tls: { ...tls, mode: 'require' } }],
    ['postgres://db.test/auth?ssl=true', { tls: { ...tls, mode: 'verify-full' } }],
    ['postgres://db.test/auth?sslrootcert=system', { tls: { ...tls, mode: 'verify-full' } }],
    [
      'postgres://db.test/auth?sslmode=require&sslrootcert=/ca.pem',
      {
        tls: { ...tls, mode: 'verify-ca', rootCertificateFile: '/ca.pem' },
      },
    ],
    [
      'postgres://db.test/auth?sslmode=verify-full&sslcert=/a&sslkey=/b&sslnegotiation=direct',
      {
        tls: { ...tls, mode: 'verify-full', certificateFile: '/a', keyFile: '/b', direct: true },
      },
    ],
  ];
  for (const [url, says] of cases) t.same(parseDatabaseUrl(url), { ...plain, ...says }, url);
});

test('names what it refuses', async (t) => {
  const cases: [url: string, message: string | RegExp][] = [
    ['postgres://ada:p%ss@db.test/auth', 'its password has a % that encodes nothing: write %25 for a %'],
    ['postgres://a%da:x@db.test/auth', /^its user name has a %/],
    ['postgres://db.test/a%', /^its name of the database has a %/],
    ['postgres://d%b.test/auth', /^its host has a %/],
    ['postgres://db.test:0/auth', 'a port must be a number from 1 to 65535'],
    ['postgres://db.test:65536/auth', /^a port must be/],
    ['postgres://db.test/auth?port=x', /^a port must be/],
    ['postgres://db.test', 'it names no database: add /NAME after the host'],
    ['postgres://ada@db.test:5432/?sslmode=require', /^it names no database/],
    [
      'postgres://db.test/auth?channel_binding=require',
      'channel_binding must be one of disable, prefer here',
    ],
    ['postgres://db.test/auth?gssencmode=require', /^gssencmode must be one of/],
    ['postgres://db.test/auth?sslmode=on', /^sslmode must be one of disable, .*, verify-full here$/],
    ['postgres://db.test/auth?target_session_attrs=standby', /^target_session_attrs must be one of/],
    ['postgres://db.test/auth?connect_timeout=0', /^connect_timeout must be a number of seconds/],
    ['postgres://db.test/auth?pgbouncer=true', /^the parameter pgbouncer is not known here: leave it out/],
    ['postgres://db.test/auth?statement_timeout=0', /^the parameter statement_timeout is not known here/],
    ['postgres://db.test/auth?__proto__=x', /^the parameter __proto__ is not known here/],
    ['postgres://db.test/auth?p%40ss=x', /^the parameter with that name is not known here/],
    ['postgres://db.test/auth?sslrootcert=/ca', /^sslrootcert has no effect without encryption/],
    ['postgres://db.test/auth?sslmode=prefer&sslrootcert=/ca', /^sslrootcert has no effect/],
    ['postgres://db.test/auth?sslcert=/a&sslkey=/b', /^sslcert has no effect/],
    ['postgres://db.test/auth?sslmode=require&sslcert=/a', /^sslcert goes with sslkey/],
    ['postgres://db.test/auth?sslmode=require&sslrootcert=system', /^sslrootcert=system goes with/],
    ['postgres://db.test/auth?sslnegotiation=direct', /^sslnegotiation=direct goes with/],
    ['postgres://db.test/auth?sslmode=prefer&sslnegotiation=direct', /^sslnegotiation=direct goes with/],
    ['postgres:///auth?host=/run,db.test', 'a Unix socket must be the only host'],
  ];
  for (const [url, message] of cases) {
    t.throws(() => parseDatabaseUrl(url), { name: 'DatabaseUrlError', message }, url);
  }
});

test('what is no URL of a database is none', async (t) => {
  const texts = [
    'mysql://db.test/auth',
    'postgres://ada:p#ss@db.test/auth',
    'postgres://ada:p/ss@db.test/auth',
    'postgres://ada:p?ss@db.test/auth',
    'postgres://db.test:port/auth',
    'postgres://[::1/auth',
  ];
  for (const text of texts) t.equal(parseDatabaseUrl(text), null, text);
});

test('any user name, password and name of a database arrive as they were encoded', async (t) => {
  const word = fc.string({ unit: 'grapheme', minLength: 1 });
  fc.assert(
    fc.property(word, word, word, (username, password, database) => {
      const [a, b, c] = [username, password, database].map(encodeURIComponent);
      t.match(parseDatabaseUrl(`postgres://${a}:${b}@db.test/${c}`), { username, password, database });
    }),
  );
});

test('a refusal does not quote the password', async (t) => {
  const secret = 'S3cret';
  const around = fc.string({ unit: 'grapheme-ascii' });
  fc.assert(
    fc.property(around, around, (before, after) => {
      try {
        parseDatabaseUrl(`postgres://ada:${before}${secret}${after}@db.test/`);
      } catch (error) {
        t.ok(error instanceof DatabaseUrlError);
        t.notMatch((error as Error).message, secret);
      }
    }),
  );
});
