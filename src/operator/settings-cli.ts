import { type Command, Option } from 'commander';
import { settingsEnvExample, settingsMarkdown, settingsText } from '../config/config-docs.ts';

type SettingsOptions = { markdown?: boolean; envExample?: boolean };

function printSettings({ markdown, envExample }: SettingsOptions): void {
  const render = markdown ? settingsMarkdown : envExample ? settingsEnvExample : settingsText;
  process.stdout.write(render());
}

/** `doorward settings`. */
export function addSettings(program: Command): void {
  program
    .command('settings')
    .description('print every setting with its default')
    .addOption(new Option('--markdown', 'as the text of docs/settings.md').conflicts('envExample'))
    .option('--env-example', 'as the text of .env.example')
    .action(printSettings);
}
