import { type SettingName, Settings, settingNames, settingSections } from './settings.ts';

/** One setting, for the documentation. `derived`: the default depends on something else, so words describe it. */
type SettingRow = {
  name: SettingName;
  default: string;
  derived: boolean;
  format: string;
  description: string;
  secret: boolean;
};

/** Every setting, in the order of the schema. */
export function describeSettings(): SettingRow[] {
  return settingNames.map(describe);
}

function describe(name: SettingName): SettingRow {
  const { fallback, expects, description, secret } = Settings.properties[name];
  const derived = typeof fallback !== 'string';
  return {
    name,
    default: derived ? fallback.says : fallback,
    derived,
    format: expects,
    description,
    secret,
  };
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What it is and what it must be, in two sentences; a third says that a secret may come from a file. */
function explanation({ name, description, format, secret }: SettingRow): string {
  const sentences = [description, capitalised(format)];
  if (secret) sentences.push(`A secret: ${name}_FILE may name a file that holds it`);
  return `${sentences.join('. ')}.`;
}

/** The settings as plain text for a terminal, the defaults below each other. */
export function settingsText(): string {
  const width = Math.max(...settingNames.map((name) => name.length)) + 2;
  return describeSettings()
    .map((row) => `${row.name.padEnd(width)}${row.default || '(unset)'}\n    ${explanation(row)}\n`)
    .join('');
}

function defaultCell(row: SettingRow): string {
  if (row.default === '') return '';
  return row.derived ? row.default : `\`${row.default}\``;
}

/** The text of docs/settings.md: the settings as tables, one for each section. */
export function settingsMarkdown(): string {
  return [MARKDOWN_HEADING, ...settingSections.map(markdownSection)].join('\n');
}

const MARKDOWN_HEADING = `# Settings

<!-- Made by \`npm run docs\` from src/config/settings.ts. Change that file, not this one. -->

Settings are environment variables. An empty variable counts as unset. If any of them is wrong, the server does not
start, and lists everything that is wrong with them at once. Quotes or white space around a value are refused, because
some readers of \`.env\` files keep them as a part of it. In production \`PUBLIC_URL\` is required, and it always ends
with \`PATH_PREFIX\`. \`npx doorward settings\` prints this list, and [.env.example](../.env.example) is a file to copy.

A variable that looks like a misspelt setting, such as \`AUDIENCE\`, has no effect; the server says so in its log when it
starts. To find that and all errors before, for example in CI, run this with the settings of the server:

    npx doorward settings check --strict

It prints each error, and as warnings misspelt names and settings that protect less than their defaults. It opens no
database and shows no secret, but it reads the files that \`FOO_FILE\` names. It ends with 1 on errors, and with \`--strict\`
on warnings too. \`--json\` is for programs.

Durations are a number and a unit: \`500ms\`, \`15s\`, \`30m\`, \`12h\`, \`30d\`. Lists are separated by commas. A secret may
also come from a file: for a secret \`FOO\`, set \`FOO_FILE\` to the path of the file, and leave \`FOO\` unset.
`;

function markdownSection({ title, names }: SettingSection): string {
  const rows = names
    .map(describe)
    .map((row) => `| \`${row.name}\` | ${defaultCell(row)} | ${explanation(row)} |\n`);
  return `## ${title}\n\n| Setting | Default | Meaning |\n|---|---|---|\n${rows.join('')}`;
}

type SettingSection = (typeof settingSections)[number];

function envExampleEntry(row: SettingRow): string {
  const derived = row.derived ? `# Default: ${row.default}.\n` : '';
  return `# ${explanation(row)}\n${derived}#${row.name}=${row.derived ? '' : row.default}\n`;
}

/** The text of .env.example: every setting, commented out, with its default. */
export function settingsEnvExample(): string {
  return [ENV_EXAMPLE_HEADING, ...settingSections.flatMap(envExampleSection)].join('\n');
}

const ENV_EXAMPLE_HEADING =
  '# Made by `npm run docs` from src/config/settings.ts. An empty value counts as unset.\n';

function envExampleSection({ title, names }: SettingSection): string[] {
  return [`# --- ${title} ---\n`, ...names.map(describe).map(envExampleEntry)];
}
