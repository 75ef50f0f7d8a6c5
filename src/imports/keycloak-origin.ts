import {
  bannedIf,
  emailOf,
  type ForeignRecord,
  filled,
  flagOf,
  fullName,
  idsOf,
  instantOf,
  localeOf,
  type Mapped,
  type NoUser,
  namesOf,
  type Origin,
  objectOf,
  objectsIn,
  phcBase64,
  RecordProblem,
  textOf,
  wordOf,
} from './foreign-record.ts';

/** Keycloak: `users` of a realm export, in one file or in several (`kc.sh export --users …`). */
export const keycloakOrigin: Origin = {
  title: 'Keycloak',
  fits: (record) =>
    'createdTimestamp' in record ||
    'disableableCredentialTypes' in record ||
    Array.isArray(record.credentials),
  read,
};

function read(record: ForeignRecord): Mapped | NoUser {
  if (textOf(record.serviceAccountClientId) !== null) return { noUser: 'service accounts of clients' };
  const credentials = objectsIn(record.credentials);
  const { locale, ...attributes } = objectOf(record.attributes, 'attributes');
  return {
    user: {
      ...idsOf(record.id),
      email: emailOf(record.email),
      email_verified: flagOf(record.emailVerified, 'emailVerified'),
      password_hash: passwordHashOf(credentials.find(({ type }) => type === 'password')),
      display_name: fullName(record.firstName, record.lastName),
      locale: localeOf(single(locale)),
      metadata: filled({
        ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, single(value)])),
        username: record.username === record.email ? null : record.username,
      }),
      created_at: instantOf(record.createdTimestamp, 'createdTimestamp'),
      ...bannedIf(!flagOf(record.enabled ?? true, 'enabled'), 'Disabled in Keycloak'),
    },
    leftOut: leftOutOf(record, credentials),
  };
}

/** Attributes are lists there, nearly always of one. */
function single(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}

function leftOutOf(record: ForeignRecord, credentials: ForeignRecord[]): string[] {
  const roles = [record.realmRoles, record.groups]
    .flat()
    .filter((role) => !/^default-roles-/.test(wordOf(role ?? 'default-roles-')));
  return namesOf({
    'second factors': credentials.some(({ type }) => type !== 'password'),
    'sign-in with other providers': objectsIn(record.federatedIdentities).length > 0,
    'roles and groups':
      roles.length > 0 || Object.keys(objectOf(record.clientRoles, 'clientRoles')).length > 0,
    'required actions': Array.isArray(record.requiredActions) && record.requiredActions.length > 0,
  });
}

function passwordHashOf(credential: ForeignRecord | undefined): string | null {
  if (credential === undefined) return null;
  const { value, salt } = objectOf(credential.secretData, 'secretData');
  const data = objectOf(credential.credentialData, 'credentialData');
  const [hash, salted, rounds] = [textOf(value), textOf(salt), Number(wordOf(data.hashIterations))];
  if (hash === null || salted === null || !(rounds > 0)) {
    throw new RecordProblem('its password has no value, salt or hashIterations');
  }
  return `${parametersOf(data, rounds)}$${phcBase64(salted)}$${phcBase64(hash)}`;
}

const PBKDF2 = new Map([
  ['pbkdf2', '$pbkdf2-sha1'],
  ['pbkdf2-sha256', '$pbkdf2-sha256'],
  ['pbkdf2-sha512', '$pbkdf2-sha512'],
]);

function parametersOf({ algorithm, additionalParameters }: ForeignRecord, rounds: number): string {
  const name = PBKDF2.get(wordOf(algorithm));
  if (name !== undefined) return `${name}$i=${rounds}`;
  if (algorithm !== 'argon2')
    throw new RecordProblem('its password is hashed in a way that is not known here');
  const one = (value: unknown) => wordOf(single(value));
  const { type, version, memory, parallelism } = objectOf(additionalParameters, 'additionalParameters');
  if (one(version) !== '1.3')
    throw new RecordProblem('its password is hashed by a version of argon2 other than 1.3');
  return `$argon2${one(type)}$v=19$m=${one(memory)},t=${rounds},p=${one(parallelism)}`;
}
