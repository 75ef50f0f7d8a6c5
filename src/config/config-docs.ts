import { Settings, settingNames } from './config.ts';

/** One setting, for a reader. `derived`: the default is told in words, for it depends on something else. */
type SettingRow = {
  name: string;
  default: string;
  derived: boolean;
  format: string;
  description: string;
  secret: boolean;
};

/** Every setting, in the order of the schema. */
export function describeSettings(): SettingRow[] {
  return settingNames.map((name) => {
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
  });
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

/** The settings as plain text for a terminal. */
export function settingsText(): string {
  return describeSettings()
    .map((row) => `${row.name.padEnd(29)}${row.default || '(unset)'}\n    ${explanation(row)}\n`)
    .join('');
}

function defaultCell(row: SettingRow): string {
  if (row.default === '') return '';
  return row.derived ? row.default : `\`${row.default}\``;
}

/** The settings as a table in Markdown, for the README. */
export function settingsMarkdown(): string {
  const rows = describeSettings().map(
    (row) => `| \`${row.name}\` | ${defaultCell(row)} | ${explanation(row)} |\n`,
  );
  return `| Setting | Default | Meaning |\n|---|---|---|\n${rows.join('')}`;
}

function envExampleEntry(row: SettingRow): string {
  const derived = row.derived ? `# Default: ${row.default}.\n` : '';
  return `# ${explanation(row)}\n${derived}#${row.name}=${row.derived ? '' : row.default}\n`;
}

/** The text of .env.example: every setting, commented out, with its default. */
export function settingsEnvExample(): string {
  const heading = '# Made by: doorward settings --env-example. An empty value counts as unset.\n';
  return [heading, ...describeSettings().map(envExampleEntry)].join('\n');
}
