import {
  emailOf,
  type ForeignRecord,
  filled,
  flagOf,
  idOf,
  instantOf,
  localeOf,
  type Mapped,
  type Origin,
  objectOf,
  RecordProblem,
  textOf,
} from './foreign-record.ts';
import type { ImportedUser } from './imported-user.ts';

/** A CSV file under our own names: `email` must be there, all other columns may be missing. */
export const csvOrigin: Origin = {
  title: 'CSV',
  fits: (record) => 'email' in underOwnNames(record),
  read: (record) => read(underOwnNames(record)),
};

/** Columns that are texts, as in a line of our own export. */
const TEXTS = ['email_as_typed', 'password_hash', 'ban_reason'] as const;
const TIMES = ['email_verified_at', 'banned_at', 'banned_until', 'created_at', 'updated_at'] as const;

function read(record: ForeignRecord): Mapped {
  const columns = TEXTS.map((name) => [name, textOf(record[name])]);
  const times = TIMES.map((name) => [name, instantOf(record[name], name)]);
  const user: ImportedUser = {
    ...Object.fromEntries([...columns, ...times]),
    id: idOf(record.id),
    external_id: idOf(record.external_id),
    email: emailOf(record.email),
    email_verified:
      flagOf(record.email_verified, 'email_verified') || textOf(record.email_verified_at) !== null,
    locale: localeOf(record.locale),
    display_name: textOf(record.display_name) ?? textOf(record.name),
    metadata: { ...objectOf(record.metadata, 'metadata'), ...extraColumns(record) },
    roles: (textOf(record.roles) ?? '').split(/[\s,;|]+/).filter((role) => role !== ''),
    ...statusOf(record),
  };
  return { user, leftOut: [] };
}

const OWN = new Set<string>([
  ...TEXTS,
  ...TIMES,
  ...[
    'id',
    'external_id',
    'email',
    'email_verified',
    'display_name',
    'name',
    'locale',
    'metadata',
    'roles',
    'status',
  ],
]);

/** People write `Email` and `Password Hash`. */
function underOwnNames(record: ForeignRecord): ForeignRecord {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => {
      const own = name.toLowerCase().replaceAll(' ', '_');
      return [OWN.has(own) ? own : name, value];
    }),
  );
}

/** Columns that mean nothing here are kept for the app. */
function extraColumns(record: ForeignRecord): ForeignRecord {
  return filled(Object.fromEntries(Object.entries(record).filter(([name]) => !OWN.has(name))));
}

function statusOf({ status }: ForeignRecord): Pick<ImportedUser, 'status'> {
  if (textOf(status) === null) return {};
  if (status === 'active' || status === 'banned') return { status };
  throw new RecordProblem('status is neither "active" nor "banned"');
}
