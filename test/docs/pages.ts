import { globSync, readFileSync } from 'node:fs';

/** All pages for people, as paths from the repository's root. */
export const pages = globSync([
  '*.md',
  'bench/*.md',
  'docs/**/*.md',
  'examples/*/*.md',
  'k8s/*.md',
  'packages/*/*.md',
]).toSorted();

export function readPage(path: string): string {
  return readFileSync(path, 'utf8');
}

/** The page without its blocks of code. */
export function proseOf(page: string): string {
  return page.replace(/^```.*?^```$/gms, '');
}

/** The text under a heading of the second level. @throws Error if the page has no such heading */
export function section(path: string, title: string): string {
  const [, text] = readPage(path).split(`\n## ${title}\n`);
  if (text === undefined) throw new Error(`${path} has no section "${title}"`);
  return text.split('\n## ')[0] ?? '';
}

/** All blocks of code in a language. */
export function snippets(path: string, language: string): string[] {
  return captures(readPage(path), new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'));
}

/** All blocks of JavaScript and TypeScript, in their order. */
export function codeBlocks(path: string): string[] {
  return snippets(path, '(?:js|ts|javascript|typescript|jsx|tsx)');
}

/** The first block of code in a language. @throws Error if the page has none */
export function snippet(path: string, language: string): string {
  const [code] = snippets(path, language);
  if (code === undefined) throw new Error(`${path} has no ${language}`);
  return code;
}

/** The names in backticks in the first column of a table. */
export function namesIn(text: string): string[] {
  return captures(text, /^\| (`.*?) \|/gm).flatMap((cell) => captures(cell, /`([^`]+)`/g));
}

/** The first group of each match. */
export function captures(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, group = '']) => group);
}
