import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { extname } from 'node:path';
import { ICON } from '../http/brand.ts';
import { type TextFile, toTextFile } from '../http/text-file.ts';

/** The files of the console by their names, such as `index.html` and `browser/index.js`. */
export type ConsoleFiles = ReadonlyMap<string, TextFile>;

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

type ConsoleParts = { publicUrl: string; palette: string; theme: string };

/**
 * Reads the console: its page and scripts, and the public browser module, by which it signs in.
 * @param options.publicUrl of the server; its path is where the page finds all
 * @param options.palette the colours, which stand before the style sheet, and `theme` what stands after it
 */
export function readConsole({ publicUrl, palette, theme }: ConsoleParts): ConsoleFiles {
  const texts = new Map([
    ...textsIn('console'),
    ...textsIn('../browser').map(([name, text]) => browserScript(name, text)),
    ['icon.svg', ICON] as const,
  ]);
  texts.set('index.html', fill(texts.get('index.html') as string, publicUrl));
  texts.set('console.css', `${palette}${texts.get('console.css')}${theme}`);
  return new Map([...texts].map(([name, text]) => [name, toTextFile(TYPES[extname(name)] as string, text)]));
}

function textsIn(folder: string): [name: string, text: string][] {
  const url = new URL(`${folder}/`, import.meta.url);
  return readdirSync(url).map((name) => [name, readFileSync(new URL(name, url), 'utf8')]);
}

/** A file of the browser module as browsers run it. The package of the server has it as JavaScript already. */
export function browserScript(name: string, text: string): [name: string, text: string] {
  if (!name.endsWith('.ts')) return [`browser/${name}`, text];
  const script = stripTypeScriptTypes(text).replaceAll(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'");
  return [`browser/${name.replace(/\.ts$/, '.js')}`, script];
}

/** A URL has no quotes or angle brackets in it, so nothing needs to be escaped. */
function fill(page: string, publicUrl: string): string {
  const base = new URL(publicUrl).pathname.replace(/\/$/, '');
  return page.replaceAll('{{base}}', base).replaceAll('{{issuer}}', publicUrl);
}
