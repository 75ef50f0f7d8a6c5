import Type from 'typebox';
import { type AppError, type ErrorCode, validationFailed } from '../core/errors.ts';
import { Text } from '../http/schemas.ts';

/** The problems that every route under `/admin` may answer, in addition to its own. */
export const ADMIN_READ_PROBLEMS: ErrorCode[] = [
  'malformed_request',
  'validation_failed',
  'not_signed_in',
  'invalid_token',
  'insufficient_scope',
  'rate_limited',
  'overloaded',
  'unavailable',
];

/** The same for routes that change something. */
export const ADMIN_WRITE_PROBLEMS: ErrorCode[] = [
  ...ADMIN_READ_PROBLEMS,
  'insufficient_user_authentication',
  'origin_not_allowed',
  'body_too_large',
  'unsupported_media_type',
];

const MAX_CURSOR_LENGTH = 300;

/** The fields of a query that say which part of a list is wanted. */
export const pageFields = {
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9][0-9]?|100)$',
      description: 'How many at most: 1 to 100. 50 when left out',
    }),
  ),
  after: Type.Optional(Text({ maxLength: MAX_CURSOR_LENGTH, description: '`next` of the part before' })),
};

/** The field of an answer that says where a list goes on. */
export const Next = Type.Union([Type.String(), Type.Null()], {
  description: 'For `after`: where the list goes on; null at its end',
});

/** A part of a list: `after` is the position of the last row that the caller has. */
export type PageWish = { limit: number; after: string | undefined };

/**
 * Reads `pageFields`.
 * @param form of a position in this list: only such a one gets to the database
 * @throws AppError `validation_failed` for what is no cursor of the list
 */
export function pageOf(query: { limit?: string; after?: string }, form: RegExp): PageWish {
  const after = query.after === undefined ? undefined : positionOf(query.after);
  if (after !== undefined && !form.test(after)) throw noCursor();
  return { limit: Number(query.limit ?? '50'), after };
}

/** `validation_failed` for what is no cursor of the list. */
export function noCursor(): AppError {
  return validationFailed([{ path: '/after', message: 'is not the `next` of a part of this list' }]);
}

/**
 * The part of a list that goes out, and the cursor to the next one.
 * @param found up to `limit + 1` rows: one more shows that the list goes on
 * @param placeOf where a row stands in the list, in the form that `pageOf` checks
 */
export function pageFrom<Row>(found: Row[], limit: number, placeOf: (row: Row) => string) {
  const rows = found.slice(0, limit);
  const last = found.length > limit ? rows.at(-1) : undefined;
  return { rows, next: last === undefined ? null : cursorOf(placeOf(last)) };
}

/** An opaque cursor: clients must not build one. */
export function cursorOf(position: string): string {
  return Buffer.from(position).toString('base64url');
}

/** The position in a cursor; other text if it is none of ours. */
export function positionOf(cursor: string): string {
  return Buffer.from(cursor, 'base64url').toString();
}
