import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../config/config.ts';
import { isTextName, makeCatalogue, type Texts } from './ui-texts.ts';

export type Ui = ReturnType<typeof openUi>;

type UiSettings = { UI_THEME_FILE: string | undefined; UI_TEXTS_DIR: string | undefined };

/**
 * Reads what the pages are made of: texts, style sheet and script, with what the operator adds to them.
 * @throws ConfigError when a file of the operator cannot be used
 */
export function openUi({ UI_THEME_FILE, UI_TEXTS_DIR }: UiSettings) {
  const theme = UI_THEME_FILE === undefined ? '' : read('UI_THEME_FILE', () => readText(UI_THEME_FILE));
  const palette = ownFile('palette.css');
  return {
    palette,
    catalogue: makeCatalogue(UI_TEXTS_DIR === undefined ? {} : readTexts(UI_TEXTS_DIR)),
    theme,
    stylesheet: `${palette}${ownFile('page.css')}${theme}`,
    script: ownFile('page.js'),
  };
}

function ownFile(name: string): string {
  return readText(new URL(name, import.meta.url));
}

function readText(path: string | URL): string {
  return readFileSync(path, 'utf8');
}

/** Texts of the operator: files such as `de.json`, each with an object of names and texts. */
function readTexts(folder: string): Record<string, Partial<Texts>> {
  const files = read('UI_TEXTS_DIR', () => readdirSync(folder)).filter((name) => name.endsWith('.json'));
  return Object.fromEntries(
    files.map((name) => {
      const texts: unknown = read(`UI_TEXTS_DIR: ${name}`, () => JSON.parse(readText(join(folder, name))));
      const problem = problemOf(name, texts);
      if (problem !== null) throw new ConfigError([`UI_TEXTS_DIR: ${name} ${problem}`]);
      return [name.replace(/\.json$/, ''), texts as Partial<Texts>];
    }),
  );
}

function problemOf(file: string, texts: unknown): string | null {
  if (!/^[a-z]{2,3}\.json$/.test(file)) return 'is not named after a language, such as de.json';
  if (typeof texts !== 'object' || texts === null || Array.isArray(texts)) return 'is not an object of texts';
  for (const [name, text] of Object.entries(texts)) {
    if (!isTextName(name)) return `has a text that no page shows: ${JSON.stringify(name)}`;
    if (typeof text !== 'string') return `has something else than a text under ${JSON.stringify(name)}`;
  }
  return null;
}

function read<T>(what: string, load: () => T): T {
  try {
    return load();
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'is not JSON' : `cannot be read (${codeOf(error)})`;
    throw new ConfigError([`${what} ${reason}`]);
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code);
}
