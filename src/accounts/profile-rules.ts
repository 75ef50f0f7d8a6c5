import { isDeepStrictEqual } from 'node:util';
import { type FieldError, validationFailed } from '../core/errors.ts';

export type JsonObject = Record<string, unknown>;

/** What users may change of their account. */
export type Profile = { displayName: string | null; locale: string | null; metadata: JsonObject };

/** Of a new account. */
export const NO_PROFILE: Profile = { displayName: null, locale: null, metadata: {} };

/** A JSON Merge Patch (RFC 7396) of a profile: what is missing stays, and null takes away. */
export type ProfilePatch = {
  display_name?: string | null;
  locale?: string | null;
  metadata?: JsonObject | null;
};

const MAX_NAME_CODE_POINTS = 100;
/** RFC 5646 §4.4.1 recommends at least 35. */
const MAX_LOCALE_LENGTH = 35;
const MAX_METADATA_BYTES = 4_096;
/** No app needs more, and JSON that is nested thousands of times makes programs fail that read it. */
const MAX_DEPTH = 16;

/**
 * Characters that a name must not have: control characters, line and paragraph separators, and those that turn the
 * direction of the text around it, with which a name could change how the rest of a page or a mail reads.
 */
const FORBIDDEN_IN_NAMES = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** Something that is seen. */
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * The profile after the patch.
 * @returns also `changed`: the members of the patch that make a difference
 * @throws AppError `validation_failed` with what is wrong with each field
 */
export function patchProfile(
  profile: Profile,
  patch: ProfilePatch,
): { profile: Profile; changed: (keyof ProfilePatch)[] } {
  const errors: FieldError[] = [];
  const patched = {
    displayName: read(errors, '/display_name', patch.display_name, profile.displayName, readDisplayName),
    locale: read(errors, '/locale', patch.locale, profile.locale, readLocale),
    metadata:
      read<JsonObject, JsonObject>(errors, '/metadata', patch.metadata, profile.metadata, (changes) =>
        patchMetadata(profile.metadata, changes),
      ) ?? {},
  };
  if (errors.length > 0) throw validationFailed(errors);
  return { profile: patched, changed: changesOf(profile, patched) };
}

/** A problem is a sentence; anything else is the value. */
type Read<Value> = { value: Value } | { problem: string };

function read<Given, Value>(
  errors: FieldError[],
  path: string,
  given: Given | null | undefined,
  current: Value | null,
  reader: (given: Given) => Read<Value>,
): Value | null {
  if (given === undefined) return current;
  if (given === null) return null;
  const result = reader(given);
  if ('value' in result) return result.value;
  errors.push({ path, message: result.problem });
  return current;
}

function changesOf(before: Profile, after: Profile): (keyof ProfilePatch)[] {
  const changed: (keyof ProfilePatch)[] = [];
  if (before.displayName !== after.displayName) changed.push('display_name');
  if (before.locale !== after.locale) changed.push('locale');
  if (!isDeepStrictEqual(before.metadata, after.metadata)) changed.push('metadata');
  return changed;
}

function readDisplayName(text: string): Read<string> {
  const name = text.normalize('NFC').trim();
  if (FORBIDDEN_IN_NAMES.test(name))
    return { problem: 'Use no control characters, and none that change the direction of the text.' };
  if (!VISIBLE.test(name)) return { problem: 'Use a name that can be seen, or null for none.' };
  if (Array.from(name).length > MAX_NAME_CODE_POINTS)
    return { problem: `Use at most ${MAX_NAME_CODE_POINTS} characters.` };
  return { value: name };
}

function readLocale(text: string): Read<string> {
  const problem = 'Use a language tag such as "de" or "pt-BR".';
  if (text.length > MAX_LOCALE_LENGTH) return { problem };
  try {
    const [locale] = Intl.getCanonicalLocales(text);
    return { value: String(locale) };
  } catch {
    return { problem };
  }
}

function patchMetadata(current: JsonObject, changes: JsonObject): Read<JsonObject> {
  const problem = problemOf(changes, MAX_DEPTH);
  if (problem !== null) return { problem };
  const value = mergeObject(current, changes);
  const bytes = Buffer.byteLength(JSON.stringify(value));
  return bytes > MAX_METADATA_BYTES
    ? { problem: `This would be ${bytes} bytes of JSON. Keep at most ${MAX_METADATA_BYTES}.` }
    : { value };
}

/** What PostgreSQL would refuse, or what could not be given back as it came. */
function problemOf(value: unknown, depthLeft: number): string | null {
  if (typeof value === 'string') return textProblem(value);
  // JSON.parse reads 1e999 so, and JSON.stringify would make null of it.
  if (typeof value === 'number') return Number.isFinite(value) ? null : 'Use smaller numbers.';
  if (typeof value !== 'object' || value === null) return null;
  if (depthLeft === 0) return `Nest at most ${MAX_DEPTH} objects and arrays.`;
  for (const [name, member] of Object.entries(value)) {
    const problem = textProblem(name) ?? problemOf(member, depthLeft - 1);
    if (problem !== null) return problem;
  }
  return null;
}

function textProblem(text: string): string | null {
  return text.isWellFormed() && !text.includes('\0')
    ? null
    : 'Use well-formed Unicode without NUL characters.';
}

/**
 * `MergePatch` of RFC 7396 §2. The objects are made anew from their members, so that a member `__proto__` is one like any
 * other.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  return isObject(patch) ? mergeObject(isObject(target) ? target : {}, patch) : patch;
}

function mergeObject(target: JsonObject, patch: JsonObject): JsonObject {
  const members = new Map(Object.entries(target));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) members.delete(name);
    else members.set(name, mergePatch(members.get(name), value));
  }
  return Object.fromEntries(members);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
