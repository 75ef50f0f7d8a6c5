import { globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Liquid } from 'liquidjs';
import type { MailTemplate } from './mail.ts';
import type { MailContent } from './mail-facts.ts';
import { MailTemplateError } from './mail-template-error.ts';
import type { MailVariables } from './mail-variables.ts';

const OURS = fileURLToPath(new URL('./templates', import.meta.url));

/** In each language: the mails, and the parts that several of them share. */
const MAILS: MailTemplate[] = [
  ...(['verify_email', 'known_address', 'reset_password', 'password_changed', 'change_email'] as const),
  ...(['email_changed', 'new_device', 'deletion_asked', 'account_deleted'] as const),
  ...(['invitation', 'reset_forced'] as const),
];
const PARTS = ['code', 'deed', 'foot'];
/** What all languages share. */
const LAYOUT = 'layout.html';

/** A folder that a language may have as its name. */
const LANGUAGE = /^[a-z]{2,3}$/;
const SUBJECT = /^Subject: ([^\r\n]+)\r?\n\r?\n/;

/**
 * Reads all templates (Liquid). With own ones among them, each is tried, so that a mistake shows at the start and not in
 * the one mail that somebody waits for.
 * @param ownFolder `MAIL_TEMPLATES_DIR`: its files replace those of this server, and a folder in it may be a new language
 * @throws MailTemplateError
 */
export function loadMailTemplates(ownFolder?: string) {
  const own = ownFolder === undefined ? {} : readOwn(ownFolder);
  const named = ownFolder ?? OURS;
  const files = { ...readFolder(OURS), ...own };
  const languages = languagesOf(files);
  const unknown = Object.keys(own).find((path) => !expectedFiles(languages).includes(path));
  if (unknown !== undefined)
    throw broken(named, unknown, 'is no template of this server; see docs/mail.md for the names');
  const missing = expectedFiles(languages).find((path) => files[path] === undefined);
  if (missing !== undefined) throw broken(named, missing, 'is missing, and a language needs all its files');

  // Strict: otherwise a misspelt name would be an empty place in a mail.
  const strict = { templates: files, strictVariables: true, strictFilters: true, ownPropertyOnly: true };
  const texts = new Liquid({ ...strict, cache: true });
  const pages = new Liquid({ ...strict, cache: true, outputEscape: 'escape' });
  const templates = { languages, render };
  // Ours have been tried by our tests.
  if (ownFolder !== undefined)
    for (const language of languages) for (const template of MAILS) tryAll(language, template);
  return templates;

  /** What a mail says, in one of the languages. */
  function render(language: string, template: MailTemplate, variables: MailVariables): MailContent {
    const scope = { ...variables, language };
    const path = `${language}/${template}`;
    const text: string = texts.renderFileSync(`${path}.txt`, scope);
    const [head, subject] = SUBJECT.exec(text) ?? [];
    if (head === undefined || subject === undefined)
      throw new Error('must begin with a line "Subject: …" and an empty line');
    const html: string = pages.renderFileSync(`${path}.html`, { ...scope, subject });
    return { subject: subject.trim(), text: `${text.slice(head.length).trim()}\n`, html };
  }

  function tryAll(language: string, template: MailTemplate): void {
    try {
      for (const variables of SAMPLES) render(language, template, variables);
    } catch (error) {
      const [reason] = (error as Error).message.split('\n');
      throw broken(named, `${language}/${template}`, String(reason));
    }
  }
}

function readOwn(folder: string): Record<string, string> {
  const files = readFolder(folder);
  if (Object.keys(files).length === 0)
    throw new MailTemplateError(`MAIL_TEMPLATES_DIR: there is no template in ${folder}`);
  return files;
}

/** By path in the folder. What is neither text nor HTML may lie beside them. */
function readFolder(folder: string): Record<string, string> {
  const paths = globSync(['*.html', '*/*.{html,txt}'], { cwd: folder });
  const entries = paths.map((path) => [
    path.split(sep).join('/'),
    readFileSync(join(folder, path), 'utf8').replaceAll('\r\n', '\n'),
  ]);
  return Object.fromEntries(entries);
}

function languagesOf(files: Record<string, string>): string[] {
  const folders = Object.keys(files).flatMap((path) => (path.includes('/') ? [path.split('/')[0]] : []));
  return [...new Set(folders as string[])].filter((name) => LANGUAGE.test(name));
}

function expectedFiles(languages: string[]): string[] {
  const inLanguage = (language: string) =>
    [...MAILS, ...PARTS].flatMap((name) => [`${language}/${name}.txt`, `${language}/${name}.html`]);
  return [LAYOUT, ...languages.flatMap(inLanguage)];
}

function broken(folder: string, path: string, reason: string): MailTemplateError {
  return new MailTemplateError(`MAIL_TEMPLATES_DIR: ${join(folder, path)} ${reason}`);
}

const FULL: MailVariables = {
  site: 'example.com',
  email: 'ada@example.com',
  page: 'https://example.com/ui/reset',
  link: 'https://example.com/ui/reset#code=x',
  code: 'XXXX-XXXX',
  good_for: '10 minutes',
  good_until: '26 November 2026 at 20:38 UTC',
  when: '26 November 2026 at 20:38 UTC',
  browser: 'Firefox',
  system: 'Linux',
  place: '192.0.2.1',
  new_email: 'new@example.com',
  due: '26 November 2026 at 20:38 UTC',
};
const EMPTY = { link: null, code: null, browser: null, system: null, place: null };
/** With everything in it, and with as little as there may be: another branch of a template may have another mistake. */
const SAMPLES: MailVariables[] = [FULL, { ...FULL, ...EMPTY }];
