import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { ConfigError } from '../../src/config/config.ts';
import { PROBLEMS } from '../../src/core/errors.ts';
import { openUi } from '../../src/ui/open-ui.ts';
import german from '../../src/ui/texts/de.json' with { type: 'json' };
import english from '../../src/ui/texts/en.json' with { type: 'json' };
import { explainRule, makeCatalogue, type Texts } from '../../src/ui/ui-texts.ts';
import { openFakeServer } from './fake-server.ts';

type Teardown = { teardown(undo: () => unknown): void };

async function newFolder(t: Teardown, files: Record<string, string> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-ui-'));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const NONE = { UI_THEME_FILE: undefined, UI_TEXTS_DIR: undefined };
/** The files with sentences about what was entered. */
const RULES = ['accounts/email-address.ts', 'accounts/credential-rules.ts', 'passwords/password-policy.ts'];
const placesIn = (text: string) => text.match(/\{\w+\}/g) ?? [];

test('every text is there in German, with the same places for values', (t) => {
  const inGerman: Record<string, string> = german;
  for (const [name, text] of Object.entries(english)) {
    t.type(inGerman[name], 'string', name);
    t.strictSame(placesIn(String(inGerman[name])), placesIn(text), name);
    t.equal(inGerman[name] === '', text === '', name);
  }
  const more = Object.keys(german).filter((name) => !(name in english) && !name.startsWith('rule: '));
  t.strictSame(more, [], 'and no other');
  t.end();
});

test('each text about a problem is of a problem that there is', (t) => {
  const ours = ['title', 'other', 'wrong-password'];
  const names = Object.keys(english).filter((name) => name.startsWith('problem.'));
  const codes = names.map((name) => name.slice('problem.'.length)).filter((code) => !ours.includes(code));
  t.strictSame(
    codes.filter((code) => !(code in PROBLEMS)),
    [],
  );
  t.end();
});

test('every rule for addresses and passwords has a German sentence', (t) => {
  const inGerman: Record<string, string> = german;
  const messages = RULES.flatMap(rulesOf);
  t.ok(messages.length > 25, `${messages.length} were found`);
  for (const message of messages) t.type(inGerman[`rule: ${message}`], 'string', message);
  t.end();
});

/** The sentences in the source of the rules, with # for what they fill in. */
function rulesOf(path: string): string[] {
  const source = readFileSync(new URL(`../../src/${path}`, import.meta.url), 'utf8');
  const problems = [...source.matchAll(/problem:\s*(['`])(?!The)(.+?)\1/g)].map(([, , text]) => String(text));
  const sentences = [...source.matchAll(/(['`])((?:Use|It has|This password is in) .+?\.)\1/g)].map(
    ([, , text]) => String(text),
  );
  const isPassword = path.startsWith('passwords');
  return [...problems.map((text) => (isPassword ? `${text} Choose another.` : text)), ...sentences].map(
    (text) => text.replace(/(?:U\+)?\$\{[^}]+\}/g, '#'),
  );
}

test('numbers of a rule are put into its sentence; what has none is told in English', (t) => {
  const { texts } = makeCatalogue({});
  const [en, de] = [texts.en as Texts, texts.de as Texts];
  t.equal(explainRule(de, 'X', 'is longer than 64 bytes before the @'), 'Vor dem @ sind mehr als 64 Bytes.');
  t.equal(
    explainRule(de, 'X', 'It has an invisible or control character (U+200B). Leave it out.'),
    'Im Passwort ist ein unsichtbares Zeichen (U+200B). Lassen Sie es weg.',
  );
  t.equal(explainRule(en, 'E-mail address', 'is empty'), 'E-mail address is empty.');
  t.equal(explainRule(de, 'Passwort', 'Something new.'), 'Something new.');
  t.equal(explainRule(de, 'Passwort', 'is new'), 'Passwort is new.');
  t.end();
});

test('an operator changes texts, adds a language, and sets the colours', async (t) => {
  const UI_TEXTS_DIR = await newFolder(t, {
    'en.json': JSON.stringify({ brand: 'The <club>', 'signed-in.intro': 'As {email}, {nobody}.' }),
    'fr.json': JSON.stringify({ 'sign-in.title': 'Connexion', 'rule: is empty': 'Vide.' }),
    'notes.txt': 'anything',
  });
  const UI_THEME_FILE = join(UI_TEXTS_DIR, 'theme.css');
  await writeFile(UI_THEME_FILE, ':root { --ui-accent: #800020 }\n');
  const { app, state } = await openFakeServer(t, { settings: { UI_TEXTS_DIR, UI_THEME_FILE } });
  const { body } = await app.inject({ url: '/ui/sign-in', headers: { 'accept-language': 'fr-CH' } });
  t.match(body, '<html lang="fr">');
  t.match(body, '<title>Connexion – The &lt;club&gt;</title>', 'what the language lacks is English');
  const style = (await app.inject('/ui/page.css')).body;
  t.match(style, /--ui-accent: #14624f[\s\S]+:root \{ --ui-accent: #800020 \}\n$/);
  state.user = 'ada@example.com';
  t.match((await app.inject('/ui/sign-in')).body, 'As ada@example.com, {nobody}.');
});

test('refuses files of an operator that cannot be used, and says which', async (t) => {
  const missing = join(await newFolder(t), 'missing');
  for (const [settings, message] of [
    [{ UI_THEME_FILE: missing }, 'UI_THEME_FILE cannot be read (ENOENT)'],
    [{ UI_TEXTS_DIR: missing }, 'UI_TEXTS_DIR cannot be read (ENOENT)'],
  ] as const)
    t.throws(() => openUi({ ...NONE, ...settings }), new ConfigError([message]), message);
  for (const [name, text, message] of [
    ['de.json', '{', 'UI_TEXTS_DIR: de.json is not JSON'],
    ['de.json', '[]', 'UI_TEXTS_DIR: de.json is not an object of texts'],
    ['de.json', 'null', 'UI_TEXTS_DIR: de.json is not an object of texts'],
    ['de.json', '"a"', 'UI_TEXTS_DIR: de.json is not an object of texts'],
    [
      'de.json',
      '{"sign-in.titel":"a"}',
      'UI_TEXTS_DIR: de.json has a text that no page shows: "sign-in.titel"',
    ],
    ['de.json', '{"email":1}', 'UI_TEXTS_DIR: de.json has something else than a text under "email"'],
    ['German.json', '{}', 'UI_TEXTS_DIR: German.json is not named after a language, such as de.json'],
  ] as const) {
    const UI_TEXTS_DIR = await newFolder(t, { [name]: text });
    t.throws(() => openUi({ ...NONE, UI_TEXTS_DIR }), new ConfigError([message]), message);
  }
});
