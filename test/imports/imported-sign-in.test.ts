import { randomBytes } from 'node:crypto';
import { t as root, test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { eq } from '../../src/db/drizzle.ts';
import { importedHashes, oneTimeCodes, users } from '../../src/db/schema.ts';
import type { ImportedUser } from '../../src/imports/imported-user.ts';
import { openImports } from '../../src/imports/open-imports.ts';
import { appOrigin, buildEmbedded, codeOf } from '../helper.ts';
import { firebaseHash, foreignHashesOf } from '../support/foreign-hashes.ts';
import { createPlatform } from '../support/platform.ts';

const { app, adapters } = await buildEmbedded(root);
const { database, keyEncryptionKey } = adapters;
const platform = createPlatform(database, { keyEncryptionKey });
const imports = openImports(platform, openAudit(platform).service);

const add = (...records: ImportedUser[]) => imports.importBatch({ records, dry_run: false }, OPERATOR);
const signIn = (email: string, password: string) =>
  app.inject({ method: 'POST', url: '/login', headers: { origin: appOrigin }, payload: { email, password } });

/** One of each scheme, but the one whose cost is fixed, and high. */
const FORMS = [
  'bcrypt 2y',
  'argon2i',
  'scrypt of Kratos',
  'Firebase, as Supabase has it',
  'Django, SHA-256',
  'SHA-512, salt after',
  'phpass $P$',
];

test('a user signs in with the password of before, whatever its hash was, and has one of ours from then on', async (t) => {
  // A letter that is decomposed: what our normal form would change.
  const password = `${randomBytes(9).toString('base64')} e\u0301`;
  const forms = foreignHashesOf(password);
  const imported = FORMS.map((name, at) => ({
    name,
    hash: String(forms[name]),
    email: `u${at}@example.com`,
  }));
  await add(...imported.map(({ email, hash }) => ({ email, password_hash: hash })));
  t.equal(codeOf(await signIn('u0@example.com', password.normalize('NFC'))), 'invalid_credentials');
  for (const { email, name } of imported) {
    t.equal((await signIn(email, password)).statusCode, 200, name);
    const [row] = await database.select().from(users).where(eq(users.email, email));
    t.match(row?.passwordHash, /^\$argon2id\$v=19\$m=7168,t=5,p=1\$/, name);
  }
  t.equal((await signIn('u0@example.com', password.normalize('NFC'))).statusCode, 200, 'our form fits now');
});

test('a hash whose key is not here is an error of the server and not a wrong password', async (t) => {
  const password = 'a long password';
  await add({ email: 'a@example.com', password_hash: firebaseHash(password) });
  await database.delete(importedHashes);
  t.equal(codeOf(await signIn('a@example.com', password)), 'unavailable');
});

test('whoever tries to sign in without having a password gets the answer of a wrong one, and a mail', async (t) => {
  await add({ email: 'b@example.com', external_id: 'cognito|1' });
  const [known, unknown] = [
    await signIn('b@example.com', 'a password'),
    await signIn('c@example.com', 'a password'),
  ];
  t.equal(known.statusCode, 401);
  t.equal(known.body, unknown.body);
  // Closing sends what was noted, if that has not been done yet.
  await app.close();
  const codes = database.select().from(oneTimeCodes).where(eq(oneTimeCodes.purpose, 'reset_password'));
  t.match(await codes, [{ email: 'b@example.com' }]);
});
