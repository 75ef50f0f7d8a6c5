import { type ReadFile, readConfig } from './config.ts';
import { warningsOf } from './config-warnings.ts';
import type { Texts } from './settings.ts';

/** One line for each finding, without secrets. The server does not start with errors, and starts with warnings. */
export type SettingsReport = { errors: string[]; warnings: string[] };

/** Checks the settings as the server would at its start. Reads the files of secrets, and opens nothing else. */
export function checkSettings(env: Texts, readFile?: ReadFile): SettingsReport {
  const { config, problems } = readConfig(env, readFile);
  return { errors: problems, warnings: warningsOf(config, env) };
}

/** The report for a terminal. */
export function settingsReportText({ errors, warnings }: SettingsReport): string {
  const lines = [...errors.map((line) => `error    ${line}`), ...warnings.map((line) => `warning  ${line}`)];
  return `${lines.join('\n') || 'The settings are fine.'}\n`;
}
