import { type ForeignRecord, type Mapped, type Origin, RecordProblem, textOf } from './foreign-record.ts';
import type { ImportedUser } from './imported-user.ts';

/** What `doorward users export` writes. The import itself checks every field. */
export const ndjsonOrigin: Origin = {
  title: 'Doorward',
  fits: (record) => 'email' in record,
  read,
};

function read(record: ForeignRecord): Mapped {
  if (textOf(record.email) === null) throw new RecordProblem('there is no e-mail address');
  return { user: record as ImportedUser, leftOut: [] };
}
