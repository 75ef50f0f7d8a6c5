import { readFileSync } from 'node:fs';
import Value from 'typebox/value';
import { blocklistProblem } from './blocklist-file.ts';
import { brokenRules } from './config-rules.ts';
import { misspeltSettings } from './config-warnings.ts';
import { type Config, type SettingName, Settings, settingNames, type Texts } from './settings.ts';

export type { Config, SettingName };

/** The settings cannot be used. The message has one line for each problem, and no secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(problems: string[]) {
    super(problems.join('\n'));
  }
}

export type ReadFile = (path: string, encoding: 'utf8') => string;

/** One setting as the environment has it. If there is a problem, the text only shows that the setting was given. */
type Reading = { text: string; problem?: string };

/** Masks passwords: a URL may have one before its host or in its query, and may be put into any setting by mistake. */
function shown(text: string): string {
  const masked = text.replace(/\/\/.*@/s, '//…@').replace(/\?.+/s, '?…');
  return JSON.stringify(masked.slice(0, 100));
}

const NOT_SHOWN = 'the value (not shown)';

/** What a file of settings adds by mistake: some readers of such files keep quotes, and some editors add a line. */
function slipOf(text: string): string | null {
  if (text.trim() !== text) return 'has white space around it; remove it';
  return /^(["'`]).*\1$|^[“„‘].*[”“’]$/s.test(text) ? 'has quotes around it; remove them' : null;
}

function mismatch(name: SettingName, text: string): string | null {
  const schema = Settings.properties[name];
  if (Value.Check(schema, text)) return null;
  const problem = schema.problem?.(text);
  if (problem) return `is not accepted: ${problem}`;
  const instead = schema.respell?.(text);
  return `is not accepted; expected ${schema.expects}${instead ? `; write ${instead}` : ''}`;
}

function check(name: SettingName, text: string): Reading {
  const flaw = slipOf(text) ?? mismatch(name, text);
  if (flaw === null) return { text };
  const value = Settings.properties[name].secret ? NOT_SHOWN : shown(text);
  return { text, problem: `${name}: ${value} ${flaw}` };
}

/** The message never has the path: it could be the secret itself, put into the wrong variable. */
function readSecretFile(name: SettingName, path: string, readFile: ReadFile): Reading {
  const slip = slipOf(path);
  if (slip !== null) return { text: path, problem: `${name}_FILE: ${NOT_SHOWN} ${slip}` };
  try {
    const text = readFile(path, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return check(name, text);
    return { text: path, problem: `${name}_FILE: the file is empty; expected a file that holds ${name}` };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error';
    return { text: path, problem: `${name}_FILE: cannot be read (${code}); expected the path of a file` };
  }
}

function readSetting(name: SettingName, env: Texts, readFile: ReadFile): Reading | undefined {
  const text = env[name];
  const path = Settings.properties[name].secret ? env[`${name}_FILE`] : undefined;
  if (text && path)
    return { text, problem: `${name}: ${name}_FILE is set as well; expected only one of them` };
  if (path) return readSecretFile(name, path, readFile);
  return text ? check(name, text) : undefined;
}

function withDefaults(readings: Map<SettingName, Reading>): Texts {
  const texts: Texts = {};
  for (const name of settingNames) {
    const { fallback } = Settings.properties[name];
    const given = readings.get(name)?.text;
    texts[name] = given ?? (typeof fallback === 'string' ? fallback : fallback.from(texts));
  }
  return texts;
}

function readSettings(env: Texts, readFile: ReadFile): Map<SettingName, Reading> {
  const readings = new Map<SettingName, Reading>();
  for (const name of settingNames) {
    const reading = readSetting(name, env, readFile);
    if (reading) readings.set(name, reading);
  }
  return readings;
}

/** Leaves out invalid settings, and defaults that depend on them. */
function decodeSound(readings: Map<SettingName, Reading>): Partial<Config> {
  const texts = withDefaults(readings);
  const sound = settingNames.filter(
    (name) => !readings.get(name)?.problem && Value.Check(Settings.properties[name], texts[name]),
  );
  return Object.fromEntries(
    sound.map((name) => [name, Value.Decode(Settings.properties[name], texts[name])]),
  );
}

/** What can be read of the settings, and all that is wrong with them. Without problems, the settings are complete. */
export function readConfig(
  env: Texts,
  readFile: ReadFile = readFileSync,
): { config: Partial<Config>; problems: string[] } {
  const readings = readSettings(env, readFile);
  const config = decodeSound(readings);
  const problems = [...readings.values()].flatMap(({ problem }) => problem ?? []);
  const rest = [...brokenRules(config, new Set(readings.keys())), ...blocklistProblems(config)];
  return { config, problems: [...problems, ...rest] };
}

function blocklistProblems({ PASSWORD_BLOCKLIST_FILE: path }: Partial<Config>): string[] {
  const problem = path === undefined ? null : blocklistProblem(path);
  return problem === null ? [] : [`PASSWORD_BLOCKLIST_FILE: ${problem}`];
}

/**
 * Reads every setting from the environment. An empty variable counts as unset; a secret FOO may come from the
 * file that FOO_FILE names.
 * @throws ConfigError, which lists all problems, and misspelt names, which may be what causes them
 */
export function loadConfig(env: Texts, readFile?: ReadFile): Config {
  const { config, problems } = readConfig(env, readFile);
  if (problems.length > 0) throw new ConfigError([...problems, ...misspeltSettings(env)]);
  return config as Config;
}
