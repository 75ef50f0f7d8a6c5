import fc from 'fast-check';
import t from 'tap';
import { firebasePrefix, readHashConfig } from '../../src/imports/firebase-hash.ts';
import type { ForeignRecord, Mapped, NoUser } from '../../src/imports/foreign-record.ts';
import { ORIGIN_NAMES, type OriginName } from '../../src/imports/origin-names.ts';
import { originNamed, originOf } from '../../src/imports/origins.ts';
import { readUser } from '../../src/imports/read-users.ts';

const now = new Date('2026-03-01T00:00:00Z');
const signer = {
  base64_signer_key: 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZ',
  mem_cost: 14,
};
const config = { algorithm: 'SCRYPT', base64_salt_separator: 'Bw==', rounds: 8, ...signer };
const found = firebasePrefix({ hash_config: config });
const prefix = 'prefix' in found ? found.prefix : '';
const context = { now, firebasePrefix: prefix };

/** Reads a record as that of a system which it must also look like. */
function read(from: OriginName, record: ForeignRecord, isRow = false): Mapped {
  t.equal(originOf(record, isRow), from, `looks like ${from}`);
  const mapped: Mapped | NoUser = originNamed(from).read(record, context);
  if ('noUser' in mapped) throw new Error(mapped.noUser);
  return mapped;
}

function reasons(from: OriginName, record: unknown): string[] {
  const options = { from, context, withoutPasswords: false };
  const entry = readUser({ line: 1, record }, options);
  return 'reasons' in entry ? entry.reasons : [];
}

const bcrypt = '$2b$10$Z6hUTEEeoJXN5/AmSm/4.eZ75RYgFVriQM9LPhNEC7kbAbS/VAaJ2';
const uuid = '0192f1c4-7d2a-4b1e-9c55-2f6d1f2a7b10';

t.test('Auth0: the export with hashes', async (t) => {
  const record = {
    _id: { $oid: '60425da93519d90068f82966' },
    email: 'ada@example.com',
    email_verified: true,
    passwordHash: bcrypt,
    password_set_date: { $date: '2021-03-05T16:34:49.502Z' },
    tenant: 'dev-rwsbs6ym',
    connection: 'Username-Password-Authentication',
    _tmp_is_unique: true,
    mfa_factors: [{ totp: { secret: 'x' } }],
  };
  t.match(read('auth0', record), {
    user: {
      external_id: 'auth0|60425da93519d90068f82966',
      email: 'ada@example.com',
      email_verified: true,
      password_hash: bcrypt,
      display_name: null,
      metadata: {},
    },
    leftOut: ['second factors'],
  });
  t.notOk('id' in read('auth0', record).user, 'its ids are no UUIDs');
});

t.test('Auth0: flexible identifiers, alt_id, and the export of the management API', async (t) => {
  const identifiers = [
    { type: 'phone', value: '+49170' },
    { type: 'email', value: 'ada@example.com', verified: true },
  ];
  t.match(read('auth0', { alt_id: 'abc', identifiers, passwordHash: bcrypt }), {
    user: { external_id: 'auth0|abc', email: 'ada@example.com', email_verified: true },
    leftOut: ['other identifiers'],
  });
  const listed = {
    user_id: 'google-oauth2|1087',
    email: 'ada@example.com',
    name: 'Ada Lovelace',
    user_metadata: { theme: 'dark' },
    app_metadata: { plan: 'pro' },
    picture: 'https://example.com/a.png',
    created_at: '2021-03-05T16:34:49.502Z',
    identities: [{ provider: 'google-oauth2' }],
    multifactor: ['guardian'],
    blocked: true,
  };
  t.match(read('auth0', listed), {
    user: {
      external_id: 'google-oauth2|1087',
      display_name: 'Ada Lovelace',
      metadata: { theme: 'dark', picture: 'https://example.com/a.png' },
      created_at: '2021-03-05T16:34:49.502Z',
      password_hash: null,
      status: 'banned',
      ban_reason: 'Blocked in Auth0',
    },
    leftOut: ['second factors', 'sign-in with other providers', 'metadata that the user could not change'],
  });
  t.notOk('app_metadata' in Object(read('auth0', listed).user.metadata), 'the user could write it here');
  t.equal(read('auth0', { _id: 7, email: 'a@b.example', passwordHash: bcrypt }).user.external_id, 'auth0|7');
  const ofMongo = {
    _id: {},
    email: 'a@b.example',
    passwordHash: bcrypt,
    created_on: { $date: '2021-03-05' },
  };
  t.match(read('auth0', ofMongo).user, { external_id: null, created_at: '2021-03-05T00:00:00.000Z' });
});

t.test('Auth0: by one mark alone, and a name that is only the address', async (t) => {
  for (const mark of [{ alt_id: '1' }, { connection: 'Users' }]) {
    const record = { ...mark, email: 'a@b.example', name: 'a@b.example', passwordHash: bcrypt };
    t.equal(read('auth0', record).user.display_name, null);
  }
  t.equal(originOf({ email: 'a@b.example', passwordHash: bcrypt }, false), 'ndjson');
});

t.test('Auth0: hashes that were given to it', async (t) => {
  const salted = (position?: string, encoding?: string) => ({
    email: 'a@b.example',
    custom_password_hash: {
      algorithm: 'sha256',
      hash: { value: '00ff'.repeat(16), ...(encoding && { encoding }) },
      salt: { value: 'salt', ...(position && { position }) },
    },
  });
  const hash = Buffer.from('00ff'.repeat(16), 'hex').toString('base64').replace(/=+$/, '');
  t.equal(read('auth0', salted()).user.password_hash, `$sha256$s=prefix$c2FsdA$${hash}`);
  t.equal(read('auth0', salted('suffix', 'hex')).user.password_hash, `$sha256$s=suffix$c2FsdA$${hash}`);
  t.match(reasons('auth0', salted('suffix', 'rot13')), [/encoding/]);
  const phc = { algorithm: 'bcrypt', hash: { value: bcrypt } };
  t.equal(read('auth0', { email: 'a@b.example', custom_password_hash: phc }).user.password_hash, bcrypt);
  const unsalted = { algorithm: 'sha512', hash: { value: 'ab', encoding: 'hex' } };
  t.equal(
    read('auth0', { email: 'a@b.example', custom_password_hash: unsalted }).user.password_hash,
    '$sha512$s=prefix$$qw',
  );
  t.match(reasons('auth0', { email: 'a@b.example', custom_password_hash: { algorithm: 'md5' } }), [
    /hash\.value/,
  ]);
});

t.test('Firebase: the hash with the key of the project', async (t) => {
  const record = {
    localId: 'kZQ0f1cR2dTnm',
    email: 'ada@example.com',
    emailVerified: false,
    passwordHash: 'lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==',
    salt: '42xEC-ixf3L2lw==',
    displayName: 'Ada',
    createdAt: '1614962089502',
    lastSignedInAt: '1614962089502',
    disabled: true,
    customAttributes: '{"staff":true}',
    phoneNumber: '+49170',
    photoUrl: 'https://example.com/a.png',
    mfaInfo: [{ phoneInfo: '+49170' }],
    providerUserInfo: [{ providerId: 'password' }, { providerId: 'google.com', rawId: '1' }],
  };
  t.same(read('firebase', record), {
    user: {
      external_id: 'kZQ0f1cR2dTnm',
      email: 'ada@example.com',
      email_verified: false,
      password_hash: `$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw,sk=${signer.base64_signer_key}$42xEC+ixf3L2lw$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ`,
      display_name: 'Ada',
      metadata: {
        photo_url: 'https://example.com/a.png',
        phone_number: '+49170',
      },
      created_at: '2021-03-05T16:34:49.502Z',
      status: 'banned',
      ban_reason: 'Disabled in Firebase',
    },
    leftOut: [
      'second factors',
      'sign-in with other providers',
      'sign-in by telephone number',
      'metadata that the user could not change',
    ],
  });
  t.equal(read('firebase', { localId: 'a', email: 'a@b.example' }).user.password_hash, null);
  t.match(
    read('firebase', { localId: 'a', email: 'a@b.example', passwordHash: 'aa' }).user.password_hash,
    /\$\$aa$/,
  );
  t.match(reasons('firebase', { localId: 'guest' }), [/a guest/]);
  t.match(reasons('firebase', { localId: 'a', email: 'a@b.example', customAttributes: '{' }), [
    'customAttributes is not JSON',
  ]);
  t.match(reasons('firebase', { localId: 'a', email: 'a@b.example', customAttributes: '[]' }), [
    'customAttributes is not a JSON object',
  ]);
});

t.test('Firebase: a hash_config that cannot be used is named without its key', async (t) => {
  t.equal(found && 'prefix' in firebasePrefix(config), true, 'also without the element around it');
  t.match(firebasePrefix(null), { problem: /base64_signer_key/ });
  t.match(firebasePrefix({ ...config, algorithm: 'BCRYPT' }), { problem: /SCRYPT/ });
  t.match(firebasePrefix({ ...config, rounds: 'eight' }), { problem: /numbers/ });
  t.match(firebasePrefix({ ...config, mem_cost: {} }), { problem: /numbers/ });
});

t.test('Firebase: the parameters as the console shows them, which is not JSON', (t) => {
  const text = `hash_config {\r
  algorithm: SCRYPT,
  base64_signer_key: ${signer.base64_signer_key},
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}`;
  t.same(firebasePrefix(readHashConfig(text)), { prefix });
  t.same(readHashConfig(JSON.stringify(config)), config);
  t.equal(readHashConfig('secret'), null);
  t.end();
});

t.test('times in seconds, and one that Go writes for none', (t) => {
  const at = (createdAt: unknown) =>
    read('firebase', { localId: 'a', email: 'a@b.example', createdAt }).user.created_at;
  t.equal(at('1614962089'), '2021-03-05T16:34:49.000Z');
  t.equal(at(1614962089), '2021-03-05T16:34:49.000Z');
  t.equal(at(1614962089502), '2021-03-05T16:34:49.502Z');
  t.equal(at('0001-01-01T00:00:00Z'), null);
  t.end();
});

const keycloakUser = {
  id: uuid.toUpperCase(),
  createdTimestamp: 1614962089502,
  username: 'ada',
  enabled: true,
  emailVerified: true,
  email: 'ada@example.com',
  firstName: 'Ada',
  lastName: 'Lovelace',
  attributes: { locale: ['de'], team: ['a'], phones: ['1', '2'] },
  credentials: [
    {
      type: 'password',
      createdDate: 1614962089502,
      secretData:
        '{"value":"oTIwmQqNuFmq3nxDY9fVhLbHgZlmqZdgrTbLaAXQwcs=","salt":"lLyLQqNuFmq3nxDY9fVhLQ==","additionalParameters":{}}',
      credentialData:
        '{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}',
    },
  ],
  disableableCredentialTypes: [],
  requiredActions: [],
  realmRoles: ['default-roles-shop'],
  notBefore: 0,
  groups: [],
};

const withPassword = (
  credentialData: object,
  secretData: object = { value: 'aGFzaA==', salt: 'c2FsdA==' },
) => ({
  ...keycloakUser,
  credentials: [
    {
      type: 'password',
      secretData: JSON.stringify(secretData),
      credentialData: JSON.stringify(credentialData),
    },
  ],
});

t.test('Keycloak: a user of a realm export', async (t) => {
  t.same(read('keycloak', keycloakUser), {
    user: {
      external_id: uuid.toUpperCase(),
      id: uuid,
      email: 'ada@example.com',
      email_verified: true,
      password_hash:
        '$argon2id$v=19$m=7168,t=5,p=1$lLyLQqNuFmq3nxDY9fVhLQ$oTIwmQqNuFmq3nxDY9fVhLbHgZlmqZdgrTbLaAXQwcs',
      display_name: 'Ada Lovelace',
      locale: 'de',
      metadata: { team: 'a', phones: ['1', '2'], username: 'ada' },
      created_at: '2021-03-05T16:34:49.502Z',
    },
    leftOut: [],
  });
  const other = {
    ...keycloakUser,
    username: 'ada@example.com',
    enabled: false,
    credentials: [{ type: 'otp' }],
    federatedIdentities: [{ identityProvider: 'google' }],
    realmRoles: ['admin'],
    requiredActions: ['UPDATE_PASSWORD'],
    attributes: undefined,
  };
  t.match(read('keycloak', other), {
    user: { password_hash: null, metadata: {}, status: 'banned', ban_reason: 'Disabled in Keycloak' },
    leftOut: ['second factors', 'sign-in with other providers', 'roles and groups', 'required actions'],
  });
  const { realmRoles, groups, ...roleless } = keycloakUser;
  t.same(read('keycloak', roleless).leftOut, []);
  t.same(read('keycloak', { ...roleless, clientRoles: { shop: ['buyer'] } }).leftOut, ['roles and groups']);
  t.same(originNamed('keycloak').read({ serviceAccountClientId: 'shop' }, context), {
    noUser: 'service accounts of clients',
  });
});

t.test('Keycloak: earlier hashes, and those that are not known', async (t) => {
  const hash = (record: ForeignRecord) => read('keycloak', record).user.password_hash;
  t.equal(
    hash(withPassword({ hashIterations: 210000, algorithm: 'pbkdf2-sha512' })),
    '$pbkdf2-sha512$i=210000$c2FsdA$aGFzaA',
  );
  t.equal(
    hash(withPassword({ hashIterations: 27500, algorithm: 'pbkdf2-sha256' })),
    '$pbkdf2-sha256$i=27500$c2FsdA$aGFzaA',
  );
  t.equal(
    hash(withPassword({ hashIterations: 20000, algorithm: 'pbkdf2' })),
    '$pbkdf2-sha1$i=20000$c2FsdA$aGFzaA',
  );
  t.match(reasons('keycloak', withPassword({ hashIterations: 1, algorithm: 'md5' })), [/not known here/]);
  const old = { hashIterations: 1, algorithm: 'argon2', additionalParameters: { version: ['1.0'] } };
  t.match(reasons('keycloak', withPassword(old)), [/version of argon2/]);
  t.match(reasons('keycloak', withPassword({ algorithm: 'pbkdf2' })), [/hashIterations/]);
  t.match(reasons('keycloak', withPassword({ hashIterations: 1 }, {})), [/no value/]);
});

const supabaseRow = {
  instance_id: '00000000-0000-0000-0000-000000000000',
  id: uuid,
  aud: 'authenticated',
  role: 'authenticated',
  email: 'ada@example.com',
  encrypted_password: bcrypt.replace('$2b', '$2a'),
  email_confirmed_at: '2024-01-02 03:04:05.123456+00',
  raw_app_meta_data: '{"provider": "email", "providers": ["email"], "plan": "pro"}',
  raw_user_meta_data: '{"full_name": "Ada Lovelace", "theme": "dark"}',
  is_super_admin: '',
  created_at: '2024-01-02 03:04:05.123456+00',
  updated_at: '2024-01-02 04:04:05+01:30',
  phone: '',
  banned_until: '',
  deleted_at: '',
  is_sso_user: 'false',
};

t.test('Supabase: a row of auth.users, as CSV and as JSON', async (t) => {
  t.match(read('supabase', supabaseRow, true), {
    user: {
      id: uuid,
      external_id: uuid,
      email_verified: true,
      email_verified_at: '2024-01-02T03:04:05.123Z',
      password_hash: supabaseRow.encrypted_password,
      display_name: 'Ada Lovelace',
      metadata: { theme: 'dark' },
      created_at: '2024-01-02T03:04:05.123Z',
      updated_at: '2024-01-02T02:34:05.000Z',
    },
    leftOut: ['metadata that the user could not change'],
  });
  const other = {
    ...supabaseRow,
    email_confirmed_at: null,
    encrypted_password: '',
    raw_user_meta_data: { name: 'Ada' },
    raw_app_meta_data: { providers: ['email', 'google'] },
    banned_until: '2027-01-01T00:00:00Z',
    phone: '+49170',
    is_super_admin: true,
  };
  t.match(read('supabase', other), {
    user: {
      display_name: 'Ada',
      password_hash: null,
      email_verified: false,
      status: 'banned',
      banned_until: '2027-01-01T00:00:00.000Z',
      metadata: { phone: '+49170' },
    },
    leftOut: ['sign-in with other providers', 'sign-in by telephone number', 'rights of a super admin'],
  });
  const single = { ...supabaseRow, raw_app_meta_data: null, is_sso_user: 't', banned_until: '2025-01-01' };
  t.match(read('supabase', single), { leftOut: ['sign-in with other providers'] });
  t.notOk('status' in read('supabase', single).user, 'a ban that is over is none');
  t.same(originNamed('supabase').read({ deleted_at: '2024-01-01' }, context), { noUser: 'deleted accounts' });
  t.match(reasons('supabase', { ...supabaseRow, created_at: 'yesterday' }), ['created_at is not a time']);
  t.match(reasons('supabase', { ...supabaseRow, is_sso_user: 'maybe' }), [
    'is_sso_user is neither true nor false',
  ]);
});

t.test('Clerk: a row of the dashboard', async (t) => {
  const row = {
    id: 'user_2abc',
    first_name: 'Ada',
    last_name: '',
    username: 'ada',
    primary_email_address: 'ada@example.com',
    primary_phone_number: '+49170',
    verified_email_addresses: 'ada@example.com|ada@work.example',
    unverified_email_addresses: '',
    totp_secret: 'JBSWY3DPEHPK3PXP',
    password_digest: bcrypt,
    password_hasher: 'bcrypt',
  };
  t.same(read('clerk', row, true), {
    user: {
      external_id: 'user_2abc',
      email: 'ada@example.com',
      email_verified: true,
      password_hash: bcrypt,
      display_name: 'Ada',
      metadata: { username: 'ada', phone_number: '+49170' },
    },
    leftOut: ['second factors (TOTP)', 'other e-mail addresses', 'sign-in by telephone number'],
  });
  const bare = {
    primary_email_address: '',
    unverified_email_addresses: 'x@example.com',
    password_digest: '',
  };
  t.match(read('clerk', bare).user, { email: 'x@example.com', email_verified: false, password_hash: null });
  const django = { ...row, password_digest: 'pbkdf2_sha256$1$s$h', password_hasher: 'pbkdf2_sha256_django' };
  t.equal(read('clerk', { ...django, verified_email_addresses: 'a@b.example' }).user.email_verified, false);
  t.equal(read('clerk', django).user.password_hash, 'pbkdf2_sha256$1$s$h');
});

t.test('Ory Kratos: an identity with its credentials', async (t) => {
  const identity = {
    id: uuid,
    schema_id: 'default',
    state: 'inactive',
    traits: { email: 'ada@example.com', name: { first: 'Ada', last: 'Lovelace' }, locale: 'de', team: 'a' },
    verifiable_addresses: [
      { value: 'ADA@example.com', verified: true, verified_at: '2024-01-02T03:04:05.123456Z', via: 'email' },
      { value: '+49170', verified: true, via: 'sms' },
    ],
    metadata_public: { plan: 'pro' },
    credentials: {
      password: { type: 'password', config: { hashed_password: bcrypt } },
      totp: {},
      passkey: {},
      oidc: {},
    },
    created_at: '2024-01-02T03:04:05.123456Z',
    updated_at: '2024-01-02T03:04:05.123456Z',
  };
  t.match(read('kratos', identity), {
    user: {
      id: uuid,
      email: 'ada@example.com',
      email_verified: true,
      email_verified_at: '2024-01-02T03:04:05.123Z',
      password_hash: bcrypt,
      display_name: 'Ada Lovelace',
      locale: 'de',
      metadata: { team: 'a' },
      status: 'banned',
    },
    leftOut: [
      'second factors',
      'passkeys',
      'sign-in with other providers',
      'metadata that the user could not change',
    ],
  });
  const plain = {
    schema_id: 'x',
    traits: { name: 'Ada' },
    verifiable_addresses: [{ value: 'a@b.example' }, { value: 'c@b.example' }],
  };
  t.match(read('kratos', plain), {
    user: { email: 'a@b.example', email_verified: false, password_hash: null, display_name: 'Ada' },
    leftOut: ['other e-mail addresses'],
  });
  t.same(read('kratos', { ...plain, traits: { email: 'z@b.example' } }).leftOut, ['other e-mail addresses']);
  const config = { hashed_password: '$firescrypt$ln=14,r=8,p=1$c2FsdA==$aGFzaA==$Bw==$a2V5' };
  t.equal(
    read('kratos', { ...plain, credentials: { password: { config } } }).user.password_hash,
    '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw,sk=a2V5$c2FsdA==$aGFzaA==',
  );
});

t.test('Django: a row of auth_user, and what dumpdata writes', async (t) => {
  const fields = {
    password: 'pbkdf2_sha256$870000$salt$aGFzaA==',
    is_superuser: true,
    username: 'ada',
    first_name: 'Ada',
    last_name: 'Lovelace',
    email: 'ada@example.com',
    is_staff: true,
    is_active: true,
    date_joined: '2024-01-02T03:04:05.123Z',
    groups: [1],
    user_permissions: [],
  };
  t.match(read('django', { model: 'auth.user', pk: 7, fields }), {
    user: {
      external_id: '7',
      email: 'ada@example.com',
      password_hash: 'pbkdf2_sha256$870000$salt$aGFzaA==',
      display_name: 'Ada Lovelace',
      metadata: { username: 'ada' },
      created_at: '2024-01-02T03:04:05.123Z',
    },
    leftOut: ['rights of staff and superusers', 'groups and permissions'],
  });
  const row = {
    id: '7',
    email: 'ada@example.com',
    username: 'ada@example.com',
    is_active: 'f',
    is_staff: '0',
    date_joined: '2024-01-02 03:04:05',
  };
  t.match(read('django', { ...row, password: '!unusable' }, true), {
    user: { external_id: '7', password_hash: null, metadata: {}, status: 'banned' },
    leftOut: [],
  });
  const hash = (password: string) => read('django', { ...row, password }, true).user.password_hash;
  t.equal(hash(''), null);
  t.equal(
    hash('argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA'),
    '$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA',
  );
  t.equal(hash(`bcrypt$${bcrypt}`), bcrypt);
  t.equal(hash('scrypt$16384$salt$8$5$aGFzaA=='), '$scrypt$ln=14,r=8,p=5$c2FsdA$aGFzaA');
  t.equal(hash('scrypt$16384'), '$scrypt$ln=14,r=undefined,p=undefined$$', 'which is refused as a hash');
});

t.test('CSV: our own names as people write them', (t) => {
  const row = { Email: 'a@b.example', 'Password Hash': bcrypt, 'Team Name': 'a', locale: 'en_US' };
  t.match(read('csv', row, true).user, {
    email: 'a@b.example',
    locale: 'en-US',
    password_hash: bcrypt,
    metadata: { 'Team Name': 'a' },
  });
  t.end();
});

t.test('CSV: columns under our own names', async (t) => {
  const row = {
    email: ' ada@example.com ',
    name: 'Ada',
    password_hash: bcrypt,
    email_verified: 'yes',
    external_id: '42',
    created_at: '2024-01-02',
    metadata: '{"theme":"dark"}',
    roles: 'buyer, seller',
    status: 'banned',
    team: 'a',
  };
  t.match(read('csv', row, true).user, {
    email: 'ada@example.com',
    display_name: 'Ada',
    password_hash: bcrypt,
    email_verified: true,
    external_id: '42',
    created_at: '2024-01-02T00:00:00.000Z',
    metadata: { theme: 'dark', team: 'a' },
    roles: ['buyer', 'seller'],
    status: 'banned',
  });
  t.match(read('csv', { email: 'a@b.example', email_verified_at: '2024-01-02' }, true).user, {
    email_verified: true,
    roles: [],
  });
  t.match(reasons('csv', { email: 'a@b.example', status: 'gone' }), [/"active" nor "banned"/]);
  t.match(reasons('csv', { email: '' }), ['there is no e-mail address']);
});

t.test('our own export is taken as it is', async (t) => {
  const record = { email: 'ada@example.com', roles: ['buyer'] };
  t.same(read('ndjson', record), { user: record, leftOut: [] });
  t.match(reasons('ndjson', { email: 7 }), ['there is no e-mail address']);
  t.equal(originOf({ nothing: 1 }, false), null);
});

t.test('a record that was rejected is read again as that of its system', async (t) => {
  const options = { from: 'ndjson' as const, context, withoutPasswords: true };
  const again = (record: unknown) =>
    readUser({ line: 3, record: { line: 9, from: 'firebase', reasons: ['x'], record } }, options);
  const user = { email: 'a@b.example', password_hash: null };
  t.match(again({ localId: 'a', email: 'a@b.example', passwordHash: 'aa' }), {
    line: 3,
    from: 'firebase',
    user,
  });
  t.match(again('{"localId":"a","email":"a@b.example"}'), { user }, 'a line of text that was corrected');
  t.match(again('{"localId"'), { reasons: ['the record is not a JSON object'], source: '{"localId"' });
  const unknown = readUser({ line: 1, record: { reasons: [], record: {}, from: 'x' } }, options);
  t.match(unknown, { reasons: ['there is no e-mail address'] });
});

t.test('what is no user, and what could not be read, is an entry too', async (t) => {
  const options = { from: 'keycloak' as const, context, withoutPasswords: false };
  t.match(readUser({ line: 1, record: { serviceAccountClientId: 'shop' } }, options), { noUser: /service/ });
  t.match(readUser({ line: 1, problem: 'no JSON', raw: '{' }, options), {
    reasons: ['no JSON'],
    source: '{',
  });
  const blank = { localId: 'a', email: 'a@b.example', customAttributes: ' ' };
  t.match(readUser({ line: 1, record: blank }, { ...options, from: 'firebase' }), { user: { metadata: {} } });
});

t.test('what cannot be stored is a reason, not a crash', async (t) => {
  t.match(reasons('ndjson', { email: 'a\0@b.example' }), [/zero byte/]);
  const poisoned = JSON.parse('{"email":"a@b.example","metadata":{"a":[{"__proto__":{}}]}}');
  t.match(reasons('ndjson', poisoned), [/__proto__/]);
  t.same(reasons('ndjson', { email: 'a@b.example', display_name: '"__proto__":' }), []);
  t.match(reasons('ndjson', { email: 'a@b.example', display_name: '\ud800' }), [/half a character/]);
  t.same(reasons('ndjson', { email: 'a@b.example', display_name: '\\u0000' }), []);
  t.match(reasons('ndjson', { email: 'x'.repeat(1024 * 1024) }), [/1 MiB/]);
  t.match(reasons('ndjson', []), ['the record is not a JSON object']);
  const deep = JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`);
  t.match(reasons('ndjson', { email: 'a@b.example', metadata: deep }), ['the record is nested too deeply']);
  let reads = 0;
  const broken = {
    get email(): string {
      reads += 1;
      // The first look is at how deep it is.
      if (reads > 1) throw new TypeError('a bug');
      return 'a@b.example';
    },
  };
  t.throws(() => reasons('ndjson', broken), { message: 'a bug' }, 'a mistake of ours is not hidden');
});

t.test('what a system does not say of an account is taken as usual', async (t) => {
  const { enabled, ...silent } = keycloakUser;
  t.notOk('status' in read('keycloak', silent).user);
  t.notOk('status' in read('django', { id: 1, email: 'a@b.example', date_joined: '2024-01-02' }).user);
  const { raw_app_meta_data, ...bare } = supabaseRow;
  t.same(read('supabase', { ...bare, is_sso_user: '' }).leftOut, []);
  t.match(
    reasons('ndjson', { email: 'a@b.example', metadata: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) }),
    ['the record is nested too deeply'],
  );
});

const FIELDS = [
  ...[
    'email',
    'passwordHash',
    '_id',
    'user_id',
    'identifiers',
    'identities',
    'custom_password_hash',
    'blocked',
  ],
  ...[
    'localId',
    'salt',
    'createdAt',
    'customAttributes',
    'providerUserInfo',
    'credentials',
    'attributes',
    'enabled',
  ],
  ...[
    'createdTimestamp',
    'realmRoles',
    'encrypted_password',
    'raw_app_meta_data',
    'banned_until',
    'is_sso_user',
  ],
  ...[
    'primary_email_address',
    'password_digest',
    'password_hasher',
    'traits',
    'verifiable_addresses',
    'fields',
  ],
  ...[
    'password',
    'date_joined',
    'is_active',
    'metadata',
    'roles',
    'status',
    'reasons',
    'record',
    'from',
    'line',
  ],
];

t.test('any JSON is one entry, for every system', async () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom({ toString: 1 }, '{}', '[', '1e400', -0, { type: 'password', secretData: '{}' }),
  );
  const record = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...FIELDS), value));
  fc.assert(
    fc.property(fc.constantFrom(...ORIGIN_NAMES), record, (from, found) => {
      const entry = readUser({ line: 1, record: found }, { from, context, withoutPasswords: false });
      const kinds = ['user', 'noUser', 'reasons'].filter((kind) => kind in entry);
      return kinds.length === 1;
    }),
    { numRuns: 2_000 },
  );
});
