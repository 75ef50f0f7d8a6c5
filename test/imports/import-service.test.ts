import { randomBytes, randomUUID } from 'node:crypto';
import { hashSync as bcrypt } from '@node-rs/bcrypt';
import { type Test, test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { openCodes } from '../../src/codes/open-codes.ts';
import { auditEvents, importedHashes, users } from '../../src/db/schema.ts';
import { createImportService } from '../../src/imports/import-service.ts';
import { createImportStore } from '../../src/imports/import-store.ts';
import type { ImportedUser } from '../../src/imports/imported-user.ts';
import { openImports } from '../../src/imports/open-imports.ts';
import { openImportedHashes } from '../../src/passwords/open-imported-hashes.ts';
import { databases } from '../support/adapters.ts';
import { firebaseHash, foreignHashesOf } from '../support/foreign-hashes.ts';
import { createPlatform } from '../support/platform.ts';

const FULL: ImportedUser = {
  id: '0198f0a0-0000-7000-8000-000000000001',
  email: 'ada@example.com',
  email_as_typed: 'Ada@Example.com',
  email_verified: true,
  email_verified_at: '2024-01-02T03:04:05.678Z',
  password_hash: bcrypt('a password', 4),
  display_name: 'Ada',
  locale: 'de',
  metadata: { plan: 'gold', nested: [1, { a: 'b' }] },
  roles: ['admin'],
  status: 'banned',
  banned_at: '2024-05-01T00:00:00.000Z',
  banned_until: '2099-01-01T00:00:00.000Z',
  ban_reason: 'spam',
  external_id: 'auth0|1',
  created_at: '2020-01-01T00:00:00.000Z',
  updated_at: '2024-01-01T00:00:00.000Z',
};

async function setUp(t: Test, kind = databases[0]) {
  if (kind === undefined) throw new Error('there is no database');
  const opened = await kind.open(t);
  const platform = createPlatform(opened.database);
  const audit = openAudit(platform).service;
  const imports = openImports(platform, audit);
  const run = async (records: ImportedUser[], isDryRun = false) =>
    (await imports.importBatch({ records, dry_run: isDryRun }, OPERATOR)).results;
  const outcomes = async (...records: ImportedUser[]) => (await run(records)).map(({ outcome }) => outcome);
  return { ...opened, platform, audit, imports, run, outcomes };
}

for (const kind of databases) {
  test(`${kind.name}: a whole record becomes an account, and the export says the same`, async (t) => {
    const { outcomes, imports, database } = await setUp(t, kind);
    t.same(await outcomes(FULL), ['created']);
    t.same(await imports.exportBatch({ after: null, limit: 1_000 }, OPERATOR), {
      records: [FULL],
      next: null,
    });
    t.match(await database.select().from(auditEvents).orderBy(auditEvents.id), [
      { kind: 'users.imported', userId: null, actorKind: 'operator', details: { count: 1 } },
      { kind: 'users.exported', userId: null, actorKind: 'operator', details: { count: 1 } },
    ]);
    t.match(await database.select().from(importedHashes), [{ strength: '$2b$04', sealedKey: null }]);
  });

  test(`${kind.name}: an import that is run again changes nothing, and neither does a dry run`, async (t) => {
    const { run, outcomes, database } = await setUp(t, kind);
    const records = Array.from({ length: 1_000 }, (_, at) => ({
      email: `user-${at}@example.com`,
      external_id: `auth0|${at}`,
      password_hash: FULL.password_hash ?? null,
      metadata: { at },
    }));
    t.ok((await run(records, true)).every(({ outcome }) => outcome === 'created'));
    t.same(await database.select().from(users), []);
    t.same(await database.select().from(importedHashes), []);
    t.ok((await outcomes(...records)).every((outcome) => outcome === 'created'));
    const before = await database.select().from(users).orderBy(users.id);
    t.equal(before.length, 1_000);
    const changed = records.map((record) => ({ ...record, display_name: 'Another' }));
    t.ok((await outcomes(...changed)).every((outcome) => outcome === 'unchanged'));
    t.same(await database.select().from(users).orderBy(users.id), before);
    t.equal((await database.select().from(auditEvents)).length, 1);
  });

  test(`${kind.name}: an address that its former owner may bring back is not given away`, async (t) => {
    const { run, transact, platform, database, outcomes } = await setUp(t, kind);
    t.same(await outcomes({ email: 'new@example.com', id: FULL.id ?? null }), ['created']);
    const codes = openCodes(platform).service;
    await transact((transaction) =>
      codes.issue(transaction, {
        ...{ userId: String(FULL.id), purpose: 'undo_email_change', email: 'old@example.com', context: {} },
      }),
    );
    const records = [{ email: 'old@example.com' }, { email: 'other@example.com' }];
    for (const isDryRun of [true, false])
      t.match(await run(records, isDryRun), [
        { outcome: 'rejected', reasons: [/belonged to another account/] },
        { outcome: 'created' },
      ]);
    t.equal((await database.select().from(users)).length, 2);
  });
}

test('a record with an address alone becomes an account without a password', async (t) => {
  const { outcomes, database } = await setUp(t);
  t.same(await outcomes({ email: ' Bob@Example.com ' }), ['created']);
  t.match(await database.select().from(users), [
    {
      ...{
        email: 'bob@example.com',
        emailAsTyped: 'Bob@Example.com',
        emailVerifiedAt: null,
        passwordHash: null,
      },
      ...{ displayName: null, metadata: {}, roles: [], status: 'active', bannedAt: null, externalId: null },
      createdAt: Date,
    },
  ]);
});

test('what a record leaves out is as of the import', async (t) => {
  const { outcomes, database } = await setUp(t);
  t.same(await outcomes({ email: 'a@example.com', email_verified: true, status: 'banned' }), ['created']);
  t.match(await database.select().from(users), [
    { emailVerifiedAt: Date, bannedAt: Date, bannedUntil: null },
  ]);
});

test('an address that was not verified is not, whatever else is said of it', async (t) => {
  const { outcomes, database } = await setUp(t);
  const [at, verified] = ['2024-01-02T03:04:05Z', true];
  await outcomes(
    { email: 'a@example.com', email_verified: false, email_verified_at: at },
    { email: 'b@example.com', email_verified_at: at },
    { email: 'c@example.com', email_verified: verified, email_verified_at: at },
  );
  const rows = await database.select().from(users).orderBy(users.email);
  t.same(
    rows.map(({ emailVerifiedAt }) => emailVerifiedAt !== null),
    [false, true, true],
  );
});

test('an id is kept if it is a UUID, and is an external id otherwise', async (t) => {
  const { outcomes, database } = await setUp(t);
  const [one, other] = [randomUUID(), randomUUID()];
  await outcomes(
    { email: 'a@example.com', id: one.toUpperCase() },
    { email: 'b@example.com', id: 'auth0|7' },
    { email: 'c@example.com', id: 'auth0|8', external_id: 'x' },
    { email: 'd@example.com', id: '00000000-0000-0000-0000-000000000000' },
    { email: 'e@example.com', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
    { email: 'f@example.com', id: other, external_id: 'y' },
  );
  const rows = await database.select().from(users).orderBy(users.email);
  t.same(
    rows.map(({ externalId }) => externalId),
    [
      null,
      'auth0|7',
      'x',
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      'y',
    ],
  );
  t.match([rows[0]?.id, rows[5]?.id], [one, other]);
});

test('the same person is known by the external id, by the id, or by the address where one of the two has no external id', async (t) => {
  const { outcomes, run } = await setUp(t);
  const id = randomUUID();
  await outcomes(
    { email: 'a@example.com', external_id: '1' },
    { email: 'b@example.com', id },
    { email: 'c@example.com' },
  );
  t.same(
    await outcomes(
      { email: 'moved@example.com', external_id: '1' },
      { email: 'b@example.com', external_id: '2' },
      { email: 'C@example.com' },
      { email: 'moved-too@example.com', id },
      { email: 'a@example.com' },
    ),
    ['unchanged', 'unchanged', 'unchanged', 'unchanged', 'unchanged'],
  );
  t.match(await run([{ email: 'a@example.com', external_id: '3' }, { email: 'a@example.com' }]), [
    { outcome: 'rejected', reasons: [/^email: Another account has this address/] },
    { outcome: 'rejected', reasons: [/^email: Another record before this one/] },
  ]);
});

test('of two records that cannot both be accounts, the first one is', async (t) => {
  const { run } = await setUp(t);
  const id = randomUUID();
  t.match(
    await run([
      { email: 'a@example.com', id, external_id: '1' },
      { email: 'A@example.com' },
      { email: 'b@example.com', id },
      { email: 'c@example.com', external_id: '1' },
      { email: 'd@example.com' },
      { email: 'e@example.com' },
    ]),
    [
      { outcome: 'created' },
      { outcome: 'rejected', reasons: [/^email: Another record/] },
      { outcome: 'rejected', reasons: [/^id: Another record/] },
      { outcome: 'rejected', reasons: [/^external_id: Another record/] },
      { outcome: 'created' },
      { outcome: 'created' },
    ],
  );
});

test('all that is wrong with a record is said', async (t) => {
  const { run, database } = await setUp(t);
  const cases: [record: object, reasons: RegExp[]][] = [
    [{}, [/^The record must have an email/]],
    [
      { email: 'a@example.com', password: 'x' },
      [/^password: It is not of the type/, /no members but those of the format/],
    ],
    [{ email: 7, roles: [7] }, [/^email: It is not of the type/, /^roles\/0: It is not of the type/]],
    [{ email: 'a' }, [/^email: The address must have exactly one @/]],
    [{ email: 'a@example.com', email_as_typed: 'b@example.com' }, [/^email_as_typed: It is another address/]],
    [{ email: 'a@example.com', email_as_typed: 'b' }, [/^email_as_typed: It is another address/]],
    [
      { email: 'a@example.com', display_name: '\0', locale: '?', metadata: { a: 'x'.repeat(5_000) } },
      [/^display_name: /, /^locale: /, /^metadata: .*4096/],
    ],
    [{ email: 'a@example.com', external_id: '' }, [/^external_id: /]],
    [{ email: 'a@example.com', external_id: 'x'.repeat(256) }, [/^external_id: /]],
    [{ email: 'a@example.com', external_id: '\0' }, [/^external_id: /]],
    [{ email: 'a@example.com', ban_reason: 'spam' }, [/^status: It must be "banned"/]],
    [{ email: 'a@example.com', status: 'banned', ban_reason: '\0' }, [/^ban_reason: /]],
    [{ email: 'a@example.com', status: 'banned', ban_reason: 'x'.repeat(501) }, [/^ban_reason: /]],
    [{ email: 'a@example.com', status: 'gone' }, [/^status: It is not of the type/]],
    [
      { email: 'a@example.com', created_at: 'yesterday', updated_at: '2024-13-01T00:00:00Z' },
      [/^created_at: /, /^updated_at: /],
    ],
    [
      {
        email: 'a@example.com',
        created_at: '0000-01-01T00:00:00Z',
        updated_at: '0001-01-01T00:00:00Z',
        email_verified_at: '9999-12-31T23:00:00-12:00',
      },
      [/^email_verified_at: .*1900 to 9999/, /^created_at: .*1900/, /^updated_at: .*1900/],
    ],
    [{ email: 'a@example.com', password_hash: `$2b$31$${'.'.repeat(53)}` }, [/^password_hash: .*seconds/]],
    [
      { email: 'a@example.com', roles: Array.from({ length: 51 }, (_, at) => `r${at}`) },
      [/^roles: Give at most 50/],
    ],
    [
      { email: 'a@example.com', roles: ['admin', 'no such', 'x'] },
      [/^roles: There is no role "no such", "x"\. Make it with "doorward roles set"/],
    ],
  ];
  const results = await run(cases.map(([record]) => record as ImportedUser));
  for (const [at, [record, reasons]] of cases.entries())
    t.match(results[at], { outcome: 'rejected', reasons }, JSON.stringify(record).slice(0, 80));
  t.same(await database.select().from(users), []);
  t.same(await database.select().from(auditEvents), []);
});

test('a batch has 1 to 1000 users', async (t) => {
  const { imports, outcomes } = await setUp(t);
  const records = Array.from({ length: 1_001 }, (_, at) => ({ email: `${at}@example.com` }));
  for (const batch of [[], records])
    t.throws(() => imports.importBatch({ records: batch, dry_run: false }, OPERATOR), {
      code: 'validation_failed',
    });
  for (const limit of [0, 1_001])
    await t.rejects(imports.exportBatch({ after: null, limit }, OPERATOR), { code: 'validation_failed' });
  await outcomes(...records.slice(0, 3));
  const first = await imports.exportBatch({ after: null, limit: 2 }, OPERATOR);
  const second = await imports.exportBatch({ after: first.next, limit: 2 }, OPERATOR);
  t.equal(new Set([...first.records, ...second.records].map(({ email }) => email)).size, 3);
  t.equal(second.next, null);
});

test('those who have asked for their deletion are not exported', async (t) => {
  const { imports, outcomes, database } = await setUp(t);
  await outcomes({ email: 'a@example.com' });
  await database.update(users).set({ deletionDueAt: new Date() });
  t.same(await imports.exportBatch({ after: null, limit: 10 }, OPERATOR), { records: [], next: null });
});

test("Firebase's key is sealed once, no hash holds it, and the export has it again", async (t) => {
  const { imports, outcomes, run, database } = await setUp(t);
  const key = randomBytes(64);
  const [one, other] = [firebaseHash('a', key), firebaseHash('b', key)];
  t.same(await outcomes({ email: 'a@example.com', password_hash: one }), ['created']);
  const [row] = await database.select().from(users);
  const stored = String(row?.passwordHash);
  t.match(stored, /^\$fbscrypt\$k=[0-9a-f]{16},ln=4,r=8\$/);
  t.same(await outcomes({ email: 'b@example.com', password_hash: other }), ['created']);
  const rows = await database.select().from(importedHashes);
  t.equal(rows.length, 1);
  t.notMatch(rows[0]?.sealedKey?.toString('latin1'), key.toString('latin1'));
  t.same(await outcomes({ email: 'c@example.com', password_hash: stored }), ['created'], 'its key is here');
  const unknown = stored.replace(/k=\w{4}/, 'k=0000');
  t.match(await run([{ email: 'd@example.com', password_hash: unknown }]), [
    { outcome: 'rejected', reasons: [/signer key of the password hash is not here/] },
  ]);
  const { records } = await imports.exportBatch({ after: null, limit: 10 }, OPERATOR);
  const hashes = records.map(({ password_hash }) => String(password_hash).replaceAll('=', ''));
  t.same(
    hashes,
    [one, other, one].map((hash) => hash.replaceAll('=', '')),
  );
});

test('strengths whose checks would take too long together are refused', async (t) => {
  const { run } = await setUp(t);
  const end = '.'.repeat(53);
  t.match(
    await run([
      { email: 'a@example.com', password_hash: `$2b$14$${end}` },
      { email: 'b@example.com', password_hash: `$2y$13$${end}` },
      { email: 'd@example.com', password_hash: `$2b$12$${end}` },
      { email: 'f@example.com', password_hash: `$2a$12$${end}` },
      { email: 'e@example.com', password_hash: FULL.password_hash ?? null },
    ]),
    [
      ...[{ outcome: 'created' }, { outcome: 'created' }],
      { outcome: 'rejected', reasons: [/^With hashes of \$2b\$12, .* about 1\.7 seconds.*without the hash/] },
      ...[{ outcome: 'rejected' }, { outcome: 'created' }],
    ],
  );
});

test('thousands of strengths that cost nothing are refused too: each is a hash more for every sign-in', async (t) => {
  const { run } = await setUp(t);
  const end = '$c2FsdHNhbHRzYWx0$MTIzNDU2Nzg5MDEyMzQ1Ng';
  const outcomes = (scheme: string) =>
    run(
      Array.from({ length: 1_000 }, (_, at) => ({
        email: `${scheme}-${at}@example.com`,
        password_hash: `$pbkdf2-${scheme}$i=${at + 1}${end}`,
      })),
    );
  const results = [...(await outcomes('sha1')), ...(await outcomes('sha256'))];
  t.equal(results.filter(({ outcome }) => outcome === 'created').length, 1_500);
});

test('an account that is made at the same moment wins', async (t) => {
  const { platform, audit, database } = await setUp(t);
  const store = createImportStore();
  const service = createImportService({
    ...{ audit, transact: platform.transact, clock: platform.clock },
    hashes: openImportedHashes(platform),
    store: { ...store, findHolders: async () => [] },
  });
  const batch = { records: [{ email: 'a@example.com' }], dry_run: false };
  t.match(await service.importBatch(batch, OPERATOR), { results: [{ outcome: 'created' }] });
  t.match(
    await service.importBatch(
      { ...batch, records: [...batch.records, { email: 'b@example.com' }] },
      OPERATOR,
    ),
    {
      results: [{ outcome: 'rejected', reasons: [/at the same moment/] }, { outcome: 'created' }],
    },
  );
  t.equal((await database.select().from(users)).length, 2);
});

test('hashes of every form are stored in one that reads as itself', async (t) => {
  const { outcomes, imports } = await setUp(t);
  const forms = Object.values(foreignHashesOf('a password'));
  const records = forms.map((password_hash, at) => ({ email: `${at}@example.com`, password_hash }));
  t.ok((await outcomes(...records)).every((outcome) => outcome === 'created'));
  const { records: exported } = await imports.exportBatch({ after: null, limit: 100 }, OPERATOR);
  const anew = exported.map(({ password_hash }, at) => ({
    email: `x${at}@example.com`,
    password_hash: password_hash ?? null,
  }));
  t.ok((await outcomes(...anew)).every((outcome) => outcome === 'created'));
});
