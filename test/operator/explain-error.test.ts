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
    [
      validationFailed([
        { path: '/id', message: 'is bad' },
        { path: '', message: 'is no JWK' },
      ]),
      'id: is bad\nIt: is no JWK',
    ],
    [
      new PoolSizeError(200, 97),
      /^DATABASE_POOL_SIZE is 200, and PostgreSQL allows 97 .* raise max_connections of PostgreSQL$/,
    ],
    [unavailable(new Error('secret')), /^The database does not answer: .*\.$/],
    [new DatabaseError('42501', undefined), /^The role in DATABASE_URL has no right to do this /],
    [new DatabaseError('42P01', undefined), /^The database has no schema yet: run `doorward migrate`/],
    [
      new DatabaseError('23505', 'users_email_key'),
      'Cannot go on: the database refused a statement: SQLSTATE 23505 (users_email_key).',
    ],
    [
      new DatabaseError('28P01', undefined),
      /^PostgreSQL refuses the user name or the password .*\(28P01\)\.$/,
    ],
    [unavailable(new DatabaseError('25006', undefined)), /^The database is read-only \(25006\): /],
    [unavailable(new DatabaseError('ECONNREFUSED', undefined)), /^The database does not answer: /],
    [Object.assign(new Error('taken'), { code: 'EADDRINUSE' }), /^taken: .* set PORT to another one\.$/],
    [Object.assign(new Error('refused'), { code: 'EACCES' }), /^refused: run this as the user/],
  ];
  for (const [error, text] of explained) t.match(explainError(error), text);
});

test('what only we can mend is told with its stack', async (t) => {
  const bug = new TypeError('a bug');
  t.equal(explainError(bug), bug.stack);
  t.equal(explainError('thrown text'), 'thrown text');
  t.equal(explainError(undefined), 'undefined');
});
