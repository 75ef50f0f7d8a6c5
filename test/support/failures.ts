const FAILURE = /^( *)not ok .*(?:\n\1 {2}---\n[\s\S]*?\n\1 {2}\.\.\.$)?/gm;
const TODO_OR_SKIP = / # (?:todo|skip)\b/i;

/**
 * The failed assertions in the TAP of one test file, each with its diagnostics. A file that was ended before it could
 * say how many assertions it has is a failure too.
 */
export function failuresOf(tap: string): string[] {
  const failures = [...tap.matchAll(FAILURE)]
    .map(([text]) => text)
    .filter((text) => !TODO_OR_SKIP.test(firstLine(text)));
  return /^1\.\.\d+/m.test(tap) ? failures : [...failures, 'not ok: ended before its last assertion'];
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
