import { isDeepStrictEqual } from 'node:util';
import Value from 'typebox/value';
import { type Config, type SettingName, Settings, settingNames, type Texts } from './settings.ts';

/** A setting as the server has it, with the text that one would write into the environment. */
export type EffectiveSetting = {
  name: SettingName;
  /** Null: unset. A secret is never shown. */
  value: string | null;
  /** Whether it is as if nobody had set it. */
  source: 'default' | 'set';
};

const NOT_SHOWN = '(not shown)';

/** Every setting, in the order of the documentation. */
export function effectiveSettings(config: Config): EffectiveSetting[] {
  const texts: Texts = Object.fromEntries(settingNames.map((name) => [name, textOf(name, config) ?? '']));
  return settingNames.map((name) => ({
    name,
    value: Settings.properties[name].secret && config[name] !== undefined ? NOT_SHOWN : textOf(name, config),
    source: isDeepStrictEqual(config[name], defaultOf(name, texts)) ? 'default' : 'set',
  }));
}

/** @returns null for a setting that is unset or a secret */
function textOf(name: SettingName, config: Config): string | null {
  const { secret, show = String } = Settings.properties[name];
  const value = config[name];
  if (secret || value === undefined) return null;
  return (show as (value: unknown) => string)(value);
}

function defaultOf(name: SettingName, texts: Texts): unknown {
  const schema = Settings.properties[name];
  const text = typeof schema.fallback === 'string' ? schema.fallback : schema.fallback.from(texts);
  return Value.Decode(schema, text);
}
