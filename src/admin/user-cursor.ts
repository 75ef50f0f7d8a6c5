import { validationFailed } from '../core/errors.ts';
import { isWritable } from '../core/instant.ts';
import type { UserPlace } from './user-list-store.ts';

/** Where a list of users goes on, in a form that callers give back as it came. */
export function toCursor({ micros, id }: UserPlace): string {
  return Buffer.from(`${micros}.${id}`).toString('base64url');
}

/** @throws AppError `validation_failed` for what `toCursor` has not made */
export function fromCursor(cursor: string): UserPlace {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const [, micros, id] = /^(-?\d{1,18})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text) ?? [];
  if (micros === undefined || id === undefined || !isWritable(Number(micros) / 1000))
    throw validationFailed([{ path: '/after', message: 'is not the `next` of a part of this list' }]);
  return { micros, id };
}
