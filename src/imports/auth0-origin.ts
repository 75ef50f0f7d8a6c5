import {
  bannedIf,
  emailOf,
  type ForeignRecord,
  filled,
  flagOf,
  hasMembers,
  idOf,
  idsOf,
  instantOf,
  isObject,
  type Mapped,
  namesOf,
  OPERATORS_METADATA,
  type Origin,
  objectOf,
  objectsIn,
  phcBase64,
  RecordProblem,
  textOf,
} from './foreign-record.ts';

/**
 * Auth0: the export with password hashes, one JSON object a line, which its support makes on request; and the export of the
 * management API, which has no hashes.
 */
export const auth0Origin: Origin = {
  title: 'Auth0',
  fits: (record) =>
    'passwordHash' in record
      ? '_id' in record || 'alt_id' in record || 'connection' in record
      : /^[\w-]+\|/.test(idOf(record.user_id) ?? '') || 'custom_password_hash' in record,
  read,
};

function read(record: ForeignRecord): Mapped {
  const created = record.created_at ?? dateOf(record.created_on);
  return {
    user: {
      ...idsOf(userIdOf(record)),
      email: emailOf(addressOf(record)),
      email_verified: flagOf(record.email_verified ?? identifierOf(record)?.verified, 'email_verified'),
      password_hash: passwordHashOf(record),
      display_name: textOf(record.name) === addressOf(record) ? null : textOf(record.name),
      metadata: metadataOf(record),
      created_at: instantOf(created, 'created_at'),
      ...bannedIf(flagOf(record.blocked, 'blocked'), 'Blocked in Auth0'),
    },
    leftOut: leftOutOf(record),
  };
}

/** The id that its API and its tokens have: the export of hashes has only the part after the bar. */
function userIdOf({ user_id, alt_id, _id }: ForeignRecord): string | null {
  const whole = textOf(user_id);
  if (whole?.includes('|')) return whole;
  const part = whole ?? idOf(alt_id) ?? (isObject(_id) ? idOf(_id.$oid) : idOf(_id));
  return part === null ? null : `auth0|${part}`;
}

/** The address is missing at the top where the connection has flexible identifiers. */
function addressOf(record: ForeignRecord): string | null {
  return textOf(record.email) ?? textOf(identifierOf(record)?.value);
}

function identifierOf({ identifiers }: ForeignRecord): ForeignRecord | undefined {
  return objectsIn(identifiers).find(({ type }) => type === 'email');
}

function passwordHashOf({ passwordHash, password_hash, custom_password_hash }: ForeignRecord): string | null {
  if (isObject(custom_password_hash)) return customHash(custom_password_hash);
  return textOf(passwordHash) ?? textOf(password_hash);
}

/** The form in which hashes of other systems are given to Auth0. */
function customHash({ algorithm, hash, salt }: ForeignRecord): string {
  const { value, encoding } = objectOf(hash, 'custom_password_hash.hash');
  const text = textOf(value);
  if (text === null) throw new RecordProblem('custom_password_hash has no hash.value');
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return text;
  const salted = objectOf(salt, 'custom_password_hash.salt');
  const position = salted.position === 'suffix' ? 'suffix' : 'prefix';
  return `$${algorithm}$s=${position}$${base64Of(salted.value, salted.encoding ?? 'utf8')}$${base64Of(text, encoding ?? 'hex')}`;
}

function base64Of(value: unknown, encoding: unknown): string {
  if (encoding !== 'hex' && encoding !== 'base64' && encoding !== 'utf8') {
    throw new RecordProblem('custom_password_hash has an encoding that is not known here');
  }
  return phcBase64(Buffer.from(textOf(value) ?? '', encoding).toString('base64'));
}

/** Without app_metadata, which Auth0 keeps from the user: here they can read and write all of the metadata. */
function metadataOf({ user_metadata, picture, phone_number }: ForeignRecord): ForeignRecord {
  return { ...objectOf(user_metadata, 'user_metadata'), ...filled({ picture, phone_number }) };
}

function leftOutOf(record: ForeignRecord): string[] {
  const factors = [record.mfa_factors, record.multifactor].some(
    (list) => Array.isArray(list) && list.length > 0,
  );
  return namesOf({
    'second factors': factors,
    'sign-in with other providers': objectsIn(record.identities).some(({ provider }) => provider !== 'auth0'),
    'other identifiers': objectsIn(record.identifiers).some(({ type }) => type !== 'email'),
    [OPERATORS_METADATA]: hasMembers(record.app_metadata, 'app_metadata'),
  });
}

/** As MongoDB writes a time in JSON. */
function dateOf(value: unknown): unknown {
  return isObject(value) ? value.$date : value;
}
