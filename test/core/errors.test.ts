import { test } from 'tap';
import { AppError, unavailable, validationFailed } from '../../src/core/errors.ts';

test('what is public of an error is apart from its cause', async (t) => {
  const cause = new Error('private');
  const error = new AppError('overloaded', { detail: 'Later, please.', retryAfterSeconds: 3, cause });
  t.match(error, { name: 'AppError', code: 'overloaded', detail: 'Later, please.', retryAfterSeconds: 3 });
  t.equal(error.message, 'Later, please.');
  t.equal(error.cause, cause);
  t.notMatch(String(error.stack), /private/);
});

test('an error without detail says its code', async (t) => {
  const error = new AppError('not_found');
  t.equal(error.message, 'not_found');
  t.strictSame([error.detail, error.errors, error.retryAfterSeconds, error.cause], Array(4).fill(undefined));
});

test('broken rules are listed', async (t) => {
  const errors = [{ path: '/email', message: 'No.' }];
  t.match(validationFailed(errors), { code: 'validation_failed', errors });
});

test('what cannot be known now may be asked again in a second', async (t) => {
  const cause = new Error('frozen');
  const error = unavailable(cause);
  t.match(error, { code: 'unavailable', retryAfterSeconds: 1, detail: undefined });
  t.equal(error.cause, cause);
});
