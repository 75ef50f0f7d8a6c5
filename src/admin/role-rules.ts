import { isAdminScope } from '../core/admin-scopes.ts';
import { type FieldError, validationFailed } from '../core/errors.ts';
import { MOST_ROLES_OF_A_USER } from '../core/user-claims.ts';

/** What users can be, and what that lets them do. */
export type Role = {
  name: string;
  /** In their order, each once. */
  scopes: string[];
  /** For people. */
  description: string;
};

/** What is stored of a role; what is left out stays as it is. */
export type RoleWish = { name: string; scopes: string[]; description?: string | undefined };

/** The role of those who may do everything under `/admin`. There is always somebody with it, once there was. */
export const ADMIN_ROLE = 'admin';

const ROLE_NAME = /^[a-z][a-z0-9._-]{0,63}$/;
/** RFC 6749 §3.3. */
const SCOPE_TOKEN = /^[!#-[\]-~]{1,100}$/;
export const MOST_ROLES = 200;
export const MOST_SCOPES_OF_A_ROLE = 50;
export const MAX_DESCRIPTION_LENGTH = 200;

/** A list as it is stored: each member once, in the order of code points. */
export function inOrder(texts: string[]): string[] {
  return [...new Set(texts)].sort();
}

/** Those of the second list that the first one lacks. */
export function added(before: string[], after: string[]): string[] {
  return after.filter((one) => !before.includes(one));
}

/** Whether both have the same names in the same order. */
export function isSameList(one: string[], other: string[]): boolean {
  return one.length === other.length && one.every((text, at) => text === other[at]);
}

/** Whether one of the scopes is of this server itself. */
export function hasAdminScope(scopes: string[]): boolean {
  return scopes.some(isAdminScope);
}

/** @throws AppError `validation_failed` for a role that cannot be stored */
export function checkRole({ name, scopes, description = '' }: RoleWish): void {
  const bad = scopes.filter((scope) => !SCOPE_TOKEN.test(scope));
  refuse([
    ...(ROLE_NAME.test(name) ? [] : [problem('/name', `${quoted(name)} ${NAME_RULE}`)]),
    ...bad.map((scope) =>
      problem('/scopes', `${quoted(scope)} is not a scope: 1 to 100 visible ASCII characters`),
    ),
    ...tooMany('/scopes', inOrder(scopes), MOST_SCOPES_OF_A_ROLE),
    ...(isLine(description)
      ? []
      : [problem('/description', `must be at most ${MAX_DESCRIPTION_LENGTH} characters on one line`)]),
  ]);
}

/** @throws AppError `validation_failed` for more roles than a user can have */
export function checkRolesOfUser(roles: string[]): void {
  refuse(tooMany('/roles', roles, MOST_ROLES_OF_A_USER));
}

const NAME_RULE = 'is not the name of a role: 1 to 64 of a-z, 0-9, ".", "_" and "-", a letter first';

/** @throws AppError `validation_failed` for roles that do not exist */
export function unknownRoles(names: string[]): void {
  const message = (name: string) =>
    `${quoted(name)} is no role: \`doorward roles list\` shows all, and \`doorward roles set\` makes one`;
  refuse(names.map((name) => problem('/roles', message(name))));
}

function tooMany(path: string, texts: string[], most: number): FieldError[] {
  return texts.length > most ? [problem(path, `must be at most ${most}`)] : [];
}

function isLine(text: string): boolean {
  return text.length <= MAX_DESCRIPTION_LENGTH && /^[^\p{Cc}]*$/u.test(text);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function problem(path: string, message: string): FieldError {
  return { path, message };
}

function refuse(errors: FieldError[]): void {
  if (errors.length > 0) throw validationFailed(errors);
}
