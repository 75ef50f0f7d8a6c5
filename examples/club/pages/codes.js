import { codeFromLink } from '/doorward-browser/index.js';
import { emailField, field } from './fields.js';

/** The code of the mail whose link opened the club, and the page that it is for. In memory, like everything else. */
let kept = null;

/** Takes the code out of the address. Called at each change of the page, before anything else can show the address. */
export function keepCode() {
  const code = codeFromLink();
  if (code) passCode(location.pathname, { code });
}

/** Keeps a code for another page, which needs it next. */
export function passCode(path, presented) {
  kept = { path, presented };
}

/** Called when the code is used up. */
export function forgetCode() {
  kept = null;
}

/** After that the user can type the code of another mail. @returns false: the form shows the error */
export function forgetWrongCode({ code }) {
  if (code === 'invalid_code') forgetCode();
  return false;
}

/**
 * The fields for a code: none if the link of a mail brought it.
 * @returns the fields, and what to send for them: `{code}`, or `{email, code}` as typed
 */
export function codeFields({ asksEmail = true } = {}) {
  const { presented } = kept?.path === location.pathname ? kept : {};
  if (presented) return { fields: {}, codeOf: () => presented };
  const code = codeField();
  return {
    fields: asksEmail ? { email: emailField(), code } : { code },
    codeOf: ({ email, code }) => ({ ...(email !== undefined && { email }), code }),
  };
}

/** @param {Record<string, unknown>} attributes of the input */
export function codeField(attributes = {}) {
  const hint = 'The 8 characters in the mail.';
  const typing = { autocomplete: 'one-time-code', autocapitalize: 'characters', spellcheck: 'false' };
  return field('code', 'Code', { ...typing, ...attributes }, hint);
}
