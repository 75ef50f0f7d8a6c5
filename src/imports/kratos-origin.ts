import { firebaseParameters } from './firebase-hash.ts';
import {
  bannedIf,
  emailOf,
  type ForeignRecord,
  filled,
  fullName,
  hasMembers,
  idsOf,
  instantOf,
  isObject,
  localeOf,
  type Mapped,
  namesOf,
  OPERATORS_METADATA,
  type Origin,
  objectOf,
  objectsIn,
  textOf,
  wordOf,
} from './foreign-record.ts';

/** Ory Kratos: its identities as the admin API lists them, with `include_credential=password`. */
export const kratosOrigin: Origin = {
  title: 'Ory Kratos',
  fits: (record) => isObject(record.traits) || 'schema_id' in record,
  read,
};

function read(record: ForeignRecord): Mapped {
  const { email, name, locale, ...traits } = objectOf(record.traits, 'traits');
  const addresses = objectsIn(record.verifiable_addresses).filter(({ via }) => via !== 'sms');
  const address = emailOf(textOf(email) ?? addresses[0]?.value);
  const verified = addresses.find(({ value }) => wordOf(value).toLowerCase() === address.toLowerCase());
  const { password, ...others } = objectOf(record.credentials, 'credentials');
  return {
    user: {
      ...idsOf(record.id),
      email: address,
      email_verified: verified?.verified === true,
      email_verified_at: verified?.verified === true ? instantOf(verified.verified_at, 'verified_at') : null,
      password_hash: passwordHashOf(password),
      display_name: isObject(name) ? fullName(name.first, name.last) : textOf(name),
      locale: localeOf(locale),
      metadata: filled({
        ...traits,
      }),
      created_at: instantOf(record.created_at, 'created_at'),
      updated_at: instantOf(record.updated_at, 'updated_at'),
      ...bannedIf(record.state === 'inactive', 'Inactive in Kratos'),
    },
    leftOut: namesOf({
      'second factors': ['totp', 'lookup_secret', 'webauthn'].some((kind) => kind in others),
      passkeys: 'passkey' in others,
      'sign-in with other providers': 'oidc' in others || 'saml' in others,
      [OPERATORS_METADATA]:
        hasMembers(record.metadata_public, 'metadata_public') ||
        hasMembers(record.metadata_admin, 'metadata_admin'),
      'other e-mail addresses': addresses.length > (verified === undefined ? 0 : 1),
    }),
  };
}

function passwordHashOf(password: unknown): string | null {
  const { config } = objectOf(password, 'credentials.password');
  const hash = textOf(objectOf(config, 'credentials.password.config').hashed_password);
  return hash === null ? null : ofFirebase(hash);
}

/** A hash of Firebase with its parts in the order of Kratos: each has the key of the project at its end. */
function ofFirebase(hash: string): string {
  const [, scheme, costs = '', salt, digest, separator, key] = hash.split('$');
  const [, memory, blocks] = /^ln=(\d+),r=(\d+),/.exec(costs) ?? [];
  if (scheme !== 'firescrypt') return hash;
  return `${firebaseParameters(memory, blocks, separator, key)}${salt}$${digest}`;
}
