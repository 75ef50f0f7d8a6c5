import { type Command, Option } from 'commander';
import { checkSettings, settingsReportText } from '../config/config-check.ts';
import { settingsEnvExample, settingsMarkdown, settingsText } from '../config/config-docs.ts';
import { print } from './table.ts';

type SettingsOptions = { markdown?: boolean; envExample?: boolean };
type CheckOptions = { json?: boolean; strict?: boolean };

function printSettings({ markdown, envExample }: SettingsOptions): void {
  const render = markdown ? settingsMarkdown : envExample ? settingsEnvExample : settingsText;
  process.stdout.write(render());
}

function check({ json, strict }: CheckOptions): void {
  const report = checkSettings(process.env);
  print(report, { json }, settingsReportText);
  if (report.errors.length > 0 || (strict && report.warnings.length > 0)) process.exitCode = 1;
}

/** `doorward settings` and `doorward settings check`. */
export function addSettings(program: Command): void {
  const settings = program
    .command('settings')
    .description('print every setting with its default')
    .addOption(new Option('--markdown', 'as the text of docs/settings.md').conflicts('envExample'))
    .option('--env-example', 'as the text of .env.example')
    .action(printSettings);
  settings
    .command('check')
    .description(
      'check the settings in the environment, and open nothing; ends with 1 when the server would not start',
    )
    .option('--strict', 'end with 1 for warnings as well')
    .option('--json', 'for programs')
    .action(check);
}
