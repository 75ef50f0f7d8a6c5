import { djangoHash } from './django-hash.ts';
import {
  bannedIf,
  emailOf,
  type ForeignRecord,
  filled,
  flagOf,
  fullName,
  idOf,
  instantOf,
  isObject,
  type Mapped,
  namesOf,
  type Origin,
  textOf,
} from './foreign-record.ts';

/** Django: the table `auth_user` as CSV, or what `manage.py dumpdata auth.user` writes. */
export const djangoOrigin: Origin = {
  title: 'Django',
  fits: (record) => 'date_joined' in record || (isObject(record.fields) && 'model' in record),
  read: (record) => read(isObject(record.fields) ? { id: record.pk, ...record.fields } : record),
};

function read(record: ForeignRecord): Mapped {
  const password = textOf(record.password);
  const roles = [record.groups, record.user_permissions].some(
    (list) => Array.isArray(list) && list.length > 0,
  );
  return {
    user: {
      external_id: idOf(record.id),
      email: emailOf(record.email),
      password_hash: password === null ? null : djangoHash(password),
      display_name: fullName(record.first_name, record.last_name),
      metadata: filled({ username: record.username === record.email ? null : record.username }),
      created_at: instantOf(record.date_joined, 'date_joined'),
      ...bannedIf(!flagOf(record.is_active ?? true, 'is_active'), 'Not active in Django'),
    },
    leftOut: namesOf({
      'rights of staff and superusers':
        flagOf(record.is_staff, 'is_staff') || flagOf(record.is_superuser, 'is_superuser'),
      'groups and permissions': roles,
    }),
  };
}
