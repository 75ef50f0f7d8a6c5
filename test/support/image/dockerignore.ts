import { readdirSync } from 'node:fs';
import { join } from 'node:path';

type Rule = { excludes: boolean; covers: RegExp; pattern: string };

/**
 * The rules of a `.dockerignore`: one pattern a line, `#` starts a comment, `!` makes an exception.
 * @see https://docs.docker.com/build/concepts/context/#dockerignore-files
 */
export function parseIgnore(text: string): Rule[] {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map(toRule);
}

function toRule(line: string): Rule {
  const excludes = !line.startsWith('!');
  const pattern = (excludes ? line : line.slice(1).trim()).replace(/^\.?\/+|\/+$/g, '');
  // What a pattern says of a folder, it says of all that is in it.
  return { excludes, pattern, covers: new RegExp(`^${toExpression(pattern)}(?:/|$)`) };
}

/** Go's `filepath.Match`, and `**` for any number of folders. A name with a dot at its front is a name like others. */
function toExpression(pattern: string): string {
  return pattern
    .split(/(\*\*\/|\*\*|\*|\?|\[[^\]]+\])/)
    .map((part, index) => (index % 2 === 0 ? part.replace(/[\\^$.+()|{}]/g, '\\$&') : wildcard(part)))
    .join('');
}

function wildcard(part: string): string {
  const fixed: Record<string, string> = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]' };
  return fixed[part] ?? part;
}

/** Whether the build sees a path: the last rule that covers it decides. */
export function isSeen(rules: Rule[], path: string): boolean {
  return !(rules.findLast(({ covers }) => covers.test(path))?.excludes ?? false);
}

/** The files of a folder that the build sees, as paths in it. */
export function contextFiles(folder: string, rules: Rule[]): string[] {
  const exceptions = rules.filter(({ excludes }) => !excludes).map(({ pattern }) => pattern);
  const holdsException = (path: string) =>
    exceptions.some((pattern) => pattern.includes('**') || pattern.startsWith(`${path}/`));
  const walk = (below: string): string[] =>
    readdirSync(join(folder, below), { withFileTypes: true }).flatMap((entry) => {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (!entry.isDirectory()) return isSeen(rules, path) ? [path] : [];
      return isSeen(rules, path) || holdsException(path) ? walk(path) : [];
    });
  return walk('').sort();
}
