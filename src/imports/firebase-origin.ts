import {
  bannedIf,
  emailOf,
  type ForeignRecord,
  filled,
  flagOf,
  hasMembers,
  idsOf,
  instantOf,
  type Mapped,
  namesOf,
  OPERATORS_METADATA,
  type Origin,
  objectsIn,
  phcBase64,
  type ReadContext,
  textOf,
} from './foreign-record.ts';

/**
 * Firebase: the document of `firebase auth:export users.json --format=json`. The hashes need the key of the project, which
 * is in its hash_config and not in this file.
 */
export const firebaseOrigin: Origin = {
  title: 'Firebase',
  fits: (record) => 'localId' in record,
  read,
};

function read(record: ForeignRecord, { firebasePrefix }: ReadContext): Mapped {
  return {
    user: {
      ...idsOf(record.localId),
      email: emailOf(
        record.email,
        'there is no e-mail address: a guest, or an account of a telephone number',
      ),
      email_verified: flagOf(record.emailVerified, 'emailVerified'),
      password_hash: passwordHashOf(record, firebasePrefix),
      display_name: textOf(record.displayName),
      metadata: filled({
        photo_url: record.photoUrl,
        phone_number: record.phoneNumber,
      }),
      created_at: instantOf(record.createdAt, 'createdAt'),
      ...bannedIf(flagOf(record.disabled, 'disabled'), 'Disabled in Firebase'),
    },
    leftOut: namesOf({
      'second factors': objectsIn(record.mfaInfo).length > 0,
      'sign-in with other providers': objectsIn(record.providerUserInfo).some(
        ({ providerId }) => providerId !== 'password' && providerId !== 'phone',
      ),
      'sign-in by telephone number': textOf(record.phoneNumber) !== null,
      [OPERATORS_METADATA]: hasMembers(record.customAttributes, 'customAttributes'),
    }),
  };
}

function passwordHashOf({ passwordHash, salt }: ForeignRecord, prefix: string | null): string | null {
  const hash = textOf(passwordHash);
  return hash === null || prefix === null
    ? null
    : `${prefix}${phcBase64(textOf(salt) ?? '')}$${phcBase64(hash)}`;
}
