import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { DataFolderError } from '../../src/adapters/data-folder.ts';
import { ConfigError } from '../../src/config/config.ts';
import { AppError, unavailable, validationFailed } from '../../src/core/errors.ts';
import { DatabaseError } from '../../src/db/database-guard.ts';
import { PoolSizeError } from '../../src/db/postgres.ts';
import { KeyEncryptionKeyError } from '../../src/keys/key-material.ts';
import { CommandLineError } from '../../src/operator/command-line-error.ts';
import { explainError } from '../../src/operator/explain-error.ts';

test('what an operator can mend is told in a few clear lines', async (t) => {
  const explained: [unknown, string | RegExp][] = [
    [new ConfigError(['PORT: bad', 'HOST: bad']), 'These settings cannot be used:\nPORT: bad\nHOST: bad'],
    [new DataFolderError('the folder is taken'), 'the folder is taken'],
    [new KeyEncryptionKeyError('another key'), 'another key'],
    [new CommandLineError('the call got no further'), 'the call got no further'],
    [new AppError('not_found', { detail: 'There is no such key.' }), 'There is no such key.'],
    [new AppError('email_taken'), 'There is an account with this e-mail address.'],
    [
      validationFailed([
        { path: '/id', message: 'is bad' },
        { path: '', message: 'is no JWK' },
      ]),
      'id: is bad\nIt: is no JWK',
    ],
    [
      new PoolSizeError(200, 1, 97),
      /^DATABASE_POOL_SIZE is 200, and PostgreSQL allows 97 .* raise max_connections of PostgreSQL$/,
    ],
    [
      Object.assign(new Error('connect ENOTDIR /dev/null/x'), { code: 'ENOTDIR' }),
      'connect ENOTDIR /dev/null/x: a part of this path is a file. Set DATA_DIR to the path of a folder.',
    ],
    [Object.assign(new Error('refused'), { code: 'EACCES' }), /^refused: run this as the user/],
  ];
  for (const [error, text] of explained) t.match(explainError(error, {}), text);
});

test('what only we can mend is told with its stack', async (t) => {
  const bug = new TypeError('a bug');
  t.equal(explainError(bug, {}), bug.stack);
  t.equal(explainError('thrown text', {}), 'thrown text');
  t.equal(explainError(undefined, {}), 'undefined');
});

const production = (DATABASE_URL: string) => ({
  DATABASE_URL,
  REDIS_URL: 'redis://127.0.0.1',
  KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
});

test('an error of the database is one line with its place, the cause and the cure, and without the password', async (t) => {
  const password = randomBytes(8).toString('hex');
  const env = production(`postgres://app:${password}@db.internal:6543/doorward`);
  const told: [unknown, RegExp][] = [
    [new DatabaseError('3D000', undefined), /there is no such database\. Create it, .* \(3D000\)\.$/],
    [
      new DatabaseError('28000', undefined),
      /no such user, or pg_hba\.conf does not admit it .* \(28000\)\.$/,
    ],
    [new DatabaseError('28P01', undefined), /the password is wrong, .*Correct them .* \(28P01\)\.$/],
    [new DatabaseError('42501', undefined), /the user has no right to do this\. Grant it /],
    [new DatabaseError('42P01', undefined), /it has no schema yet\. Run `doorward migrate`/],
    [new DatabaseError('XX000', undefined), /it is in trouble itself\. Look at its log \(XX000\)\.$/],
    [
      new DatabaseError('23505', 'users_email_key'),
      /the database refused a statement: SQLSTATE 23505 \(users_email_key\)\. Look at its log\.$/,
    ],
    [unavailable(new DatabaseError('25006', undefined)), /it is read-only\. Name .* \(25006\)\.$/],
    [
      unavailable(new DatabaseError('ECONNREFUSED', undefined)),
      /no server accepts connections there\. Start /,
    ],
    [unavailable(new DatabaseError('ENOTFOUND', undefined)), /no host has this name\. Correct it /],
    [unavailable(new Error(password)), /it gives no answer in time\. .* \(no answer within 2 s\)\.$/],
  ];
  for (const [error, text] of told) {
    const line = explainError(error, env);
    t.match(line, /^PostgreSQL at db\.internal:6543 \(database "doorward", user "app"\): /);
    t.match(line, text);
    t.notMatch(line, new RegExp(`\n|${password}`));
  }
});

test('the place of a database is named whatever the form of its URL', async (t) => {
  const places: [NodeJS.ProcessEnv, string][] = [
    [
      production('postgres://one,[::1]:6543/x'),
      'PostgreSQL at one:5432, [::1]:6543 (database "x", no user given)',
    ],
    [
      production('postgres:///x?host=/run&user=a'),
      'PostgreSQL at /run/.s.PGSQL.5432 (database "x", user "a")',
    ],
    [production('postgres:///a%0Ab'), 'PostgreSQL at the default host (database "a\\nb", no user given)'],
    [{ DATA_DIR: '/srv/data' }, 'The database in /srv/data'],
  ];
  for (const [env, place] of places) {
    const [start] = explainError(new DatabaseError('53100', undefined), env).split(': its disk is full');
    t.equal(start, place);
  }
});

test('why the server cannot listen is one line with HOST, PORT, the cause and the cure', async (t) => {
  const env = { HOST: '10.9.9.9', PORT: '80' };
  const told: [string, string, RegExp][] = [
    ['listen', 'EADDRINUSE', /another process listens there\. Stop that one, or set PORT /],
    ['listen', 'EADDRNOTAVAIL', /this machine has no such address\. Set HOST /],
    ['listen', 'EACCES', /may not open this port\. Set PORT to 1024 or more/],
    ['getaddrinfo', 'ENOTFOUND', /no address is known for this name\. Set HOST /],
  ];
  for (const [syscall, code, text] of told) {
    const line = explainError(Object.assign(new Error('failed'), { syscall, code }), env);
    t.match(line, /^Cannot listen at HOST=10\.9\.9\.9, PORT=80: .*\.$/);
    t.match(line, text);
  }
  const unknown = Object.assign(new Error('failed'), { syscall: 'listen', code: 'EMOON' });
  t.equal(explainError(unknown, env), unknown.stack);
});
