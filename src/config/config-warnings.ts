import { findMeant } from './misspelt-name.ts';
import { type Config, type SettingName, Settings, settingNames, type Texts } from './settings.ts';

/** What an operator should know about settings that can be used, one line each. Shows no values. */
export function warningsOf(config: Partial<Config>, env: Texts): string[] {
  return [...weakSettings(config), ...missingSettings(config, env), ...misspeltSettings(env)];
}

/** Settings that protect less than their defaults do. */
function* weakSettings(config: Partial<Config>): Generator<string> {
  const { COOKIE_MODE, CLIENT_ASSERTION_AUDIENCE, REVOCATIONS, ACCESS_TOKEN_TTL = 0 } = config;
  if (COOKIE_MODE === 'insecure')
    yield 'COOKIE_MODE=insecure: the session cookie is sent unencrypted. Use this on a private network only.';
  if (CLIENT_ASSERTION_AUDIENCE === 'endpoint')
    yield 'CLIENT_ASSERTION_AUDIENCE=endpoint: a malicious server can make a client sign an assertion that works here. Let clients put PUBLIC_URL into aud, and unset this.';
  if (REVOCATIONS === 'off')
    yield 'REVOCATIONS=off: services that verify offline learn of a sign-out only when the access token ends. Set it to clients or public.';
  else if (ACCESS_TOKEN_TTL > LONG_TOKEN_TTL_MS)
    yield 'ACCESS_TOKEN_TTL is more than 5 hours: each replica and each service that verifies offline keeps the sign-outs of all that time. They hold 2 million, which is as little as 23 a second with 24h, and forget the oldest beyond that. Set it to 30m, or to what you need.';
}

/** 2 million entries are 100 a second in this time. */
const LONG_TOKEN_TTL_MS = 5 * 3_600_000;

/** Settings without which a part of the server is off. */
function* missingSettings({ EMBEDDED }: Partial<Config>, env: Texts): Generator<string> {
  if (EMBEDDED === false && !env.SMTP_URL && !env.SMTP_URL_FILE)
    yield 'SMTP_URL is not set, so no mails are sent. Off are: a new password for those who forgot theirs, another e-mail address, verifying addresses, and notices of new devices and changes.';
}

const isSecret = (name: SettingName) => Settings.properties[name].secret;
const fileNames = settingNames.map((name) => `${name}_FILE`);
const known = new Set<string>([
  ...settingNames,
  ...settingNames.filter(isSecret).map((name) => `${name}_FILE`),
]);

/** Variables that are no settings, but look as if they were meant to be: otherwise they would have no effect, unnoticed. */
export function misspeltSettings(env: Texts): string[] {
  return (
    Object.keys(env)
      // An empty setting counts as unset. A name with other characters could spoil the log.
      .filter((name) => env[name] && !known.has(name) && /^[\w.-]+$/.test(name))
      .flatMap((name) => {
        const meant = findMeant(name, [...settingNames, ...fileNames]);
        return meant === undefined ? [] : `${name}: is not a setting and has no effect; ${correction(meant)}`;
      })
  );
}

function correction(meant: string): string {
  if (known.has(meant)) return `did you mean ${meant}?`;
  return `set ${meant.replace(/_FILE$/, '')} itself, since only secrets may come from a file`;
}
