import { isWritable } from '../core/instant.ts';
import { cursorOf, noCursor, positionOf } from './admin-page.ts';
import type { UserPlace } from './user-list-store.ts';

/** Where a list of users goes on, in a form that callers give back as it came. */
export function toCursor({ micros, id }: UserPlace): string {
  return cursorOf(`${micros}.${id}`);
}

/** @throws AppError `validation_failed` for what `toCursor` has not made */
export function fromCursor(cursor: string): UserPlace {
  const [, micros, id] =
    /^(-?\d{1,18})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(positionOf(cursor)) ?? [];
  if (micros === undefined || id === undefined || !isWritable(Number(micros) / 1000)) throw noCursor();
  return { micros, id };
}
