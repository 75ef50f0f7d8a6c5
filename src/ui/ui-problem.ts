import type { AppError } from '../core/errors.ts';
import type { Problem } from './render-page.ts';
import type { Field } from './ui-pages.ts';
import { explainRule, type Texts } from './ui-texts.ts';

/**
 * A refusal in words for people.
 * @param fields those of the form: a problem with any other is one of the whole form
 * @param passwordOnly whether the password is all that can be wrong with the credentials
 */
export function explainProblem(
  { code, errors = [] }: Pick<AppError, 'code' | 'errors'>,
  texts: Texts,
  fields: readonly Field[] = [],
  passwordOnly = false,
): Problem {
  const text = textOf(code, texts);
  if (code === 'invalid_credentials' && passwordOnly)
    return { text, fields: { password: texts['problem.wrong-password'] } };
  const field = fieldOf(code, fields);
  if (field !== undefined) return { text, fields: { [field]: text } };
  const found = fields.flatMap((name) => {
    const error = errors.find(({ path }) => path.endsWith(name));
    return error === undefined ? [] : [[name, explainRule(texts, labelOf(name, texts), error.message)]];
  });
  return { text, fields: Object.fromEntries(found) };
}

/** The field that a refusal is about. Beside a code, the address is not a new one. */
function fieldOf(code: AppError['code'], fields: readonly Field[]): Field | undefined {
  if (code === 'invalid_code') return 'code';
  return code === 'email_taken' && !fields.includes('code') ? 'email' : undefined;
}

function textOf(code: AppError['code'], texts: Texts): string {
  const byName: Record<string, string | undefined> = texts;
  return byName[`problem.${code}`] ?? texts['problem.other'];
}

function labelOf(field: Field, texts: Texts): string {
  return texts[field];
}
