import { BlockList, isIP } from 'node:net';
import { isLoopbackHost } from '../core/loopback.ts';
import { isReservedAudience } from '../verifier/token-type.ts';
import { type DatabaseUrlError, parseDatabaseUrl } from './database-url.ts';
import { parseRedisUrl, type RedisTarget } from './redis-target.ts';
import { parseSmtpUrl, type SmtpTarget } from './smtp-target.ts';

/** How the text of a setting is read: what it must be, in words and as a check, and how it is decoded. */
export type Format<T> = {
  /** Completes "expected …"; also the format column of the documentation. */
  expects: string;
  accepts: (text: string) => boolean;
  /** What is wrong with a text that `accepts` refuses, without the text: it may be a secret. Null if that is unknown. */
  problem?: (text: string) => string | null;
  /** Called only with text that `accepts` has accepted. */
  decode: (text: string) => T;
  /** What to write in place of a text that is refused only for its spelling; null if that is unknown. */
  respell?: (text: string) => string | null;
  /** How a value is shown, if not as it stands. */
  show?(value: T): string;
};

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function durationMs(text: string): number {
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(digits) * unitMs[unit as keyof typeof unitMs];
}

/** A duration such as `500ms`, `15s`, `30m`, `12h` or `30d`, within both bounds. Decodes to milliseconds. */
export function duration(least: string, most: string): Format<number> {
  return {
    expects: `a duration from ${least} to ${most}`,
    accepts: (text) => durationMs(text) >= durationMs(least) && durationMs(text) <= durationMs(most),
    decode: durationMs,
    show: durationText,
  };
}

/** In the largest unit that needs no fraction. */
function durationText(ms: number): string {
  const [unit, size] = Object.entries(unitMs).findLast(([, size]) => ms % size === 0 && ms >= size) ?? [
    's',
    1000,
  ];
  return `${ms / size}${unit}`;
}

/** A whole number in decimal digits, within both bounds. */
export function integer(least: number, most: number): Format<number> {
  return {
    expects: `a whole number from ${least} to ${most}`,
    accepts: (text) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most,
    decode: Number,
  };
}

export const flag: Format<boolean> = {
  expects: 'true or false',
  accepts: (text) => text === 'true' || text === 'false',
  decode: (text) => text === 'true',
};

/** One of a few words, in exactly this spelling. */
export function oneOf<const Word extends string>(...words: Word[]): Format<Word> {
  return {
    expects: `one of ${words.join(', ')}`,
    accepts: (text) => words.some((word) => word === text),
    decode: (text) => text as Word,
  };
}

/** Text that passes a check and is used unchanged. */
export function text(expects: string, accepts: (text: string) => boolean): Format<string> {
  return { expects, accepts, decode: (text) => text };
}

/** The same format, or nothing: the empty text decodes to undefined. */
export function optional<T>(format: Format<T>): Format<T | undefined> {
  return {
    ...format,
    accepts: (text) => text === '' || format.accepts(text),
    decode: (text) => (text === '' ? undefined : format.decode(text)),
  };
}

function listItems(text: string): string[] {
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}

/** Items between commas, each trimmed, none empty. The empty text is the empty list. */
export function list(what: string, accepts: (item: string) => boolean): Format<string[]> {
  return {
    expects: `a comma-separated list of ${what}`,
    accepts: (text) => listItems(text).every((item) => item !== '' && accepts(item)),
    decode: listItems,
  };
}

function isAudience(item: string): boolean {
  return (
    !/["\p{C}]|[^\S ]/u.test(item) && (!item.includes(':') || URL.canParse(item)) && !isReservedAudience(item)
  );
}

/** Values of `aud`: StringOrURI (RFC 7519 §2), in which a value with a colon must be a URI. No quotes or controls. */
export const audiences: Format<string[]> = {
  ...list('different names or URIs', isAudience),
  accepts: (text) =>
    listItems(text).every((item, i, all) => item && isAudience(item) && all.indexOf(item) === i),
  problem: (text) =>
    listItems(text).some(isReservedAudience)
      ? 'a name that begins with urn:doorward:once: is the audience of single-use tokens; use another name'
      : null,
};

/** A web origin (RFC 6454) spelled as browsers send it; `*` and `null` are refused. */
export function isWebOrigin(item: string): boolean {
  return /^https?:/.test(item) && URL.parse(item)?.origin === item;
}

/**
 * An IP address or CIDR block. A block with every IPv4 address in it is refused, and so is a prefix of 0: if every peer
 * is trusted, clients can forge their address.
 */
export function isAddressBlock(item: string): boolean {
  const [address = '', prefix, ...rest] = item.split('/');
  const bits = isIP(address) === 4 ? 32 : 128;
  const prefixFits = prefix === undefined || (/^\d{1,3}$/.test(prefix) && +prefix > 0 && +prefix <= bits);
  return isIP(address) !== 0 && prefixFits && rest.length === 0 && !holdsEveryIPv4(address, prefix);
}

/** IPv4 addresses are also the IPv6 block ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
function holdsEveryIPv4(address: string, prefix = '128'): boolean {
  if (isIP(address) === 4 || +prefix > 96) return false;
  const block = new BlockList();
  block.addSubnet(address, +prefix, 'ipv6');
  return block.check('::ffff:0:0', 'ipv6');
}

/** A connection URI of PostgreSQL. It is used unchanged. */
export const databaseUrl: Format<string> = {
  expects:
    'a URL: postgres://user:password@host:port/database, with /, ?, #, @ and % in a password as %2F, %3F, %23, %40 and %25',
  accepts: (text) => refusalOf(text) === null,
  problem: (text) => refusalOf(text) || null,
  decode: (text) => text,
};

/** Empty for a text that is no URL of a database, null for one that is accepted. */
function refusalOf(text: string): string | null {
  try {
    return parseDatabaseUrl(text) === null ? '' : null;
  } catch (error) {
    return (error as DatabaseUrlError).message;
  }
}

/** The form in which a bare http or https URL is the same text for everyone, without a slash at its end; or null. */
export function normalHttpUrl(text: string): string | null {
  const url = /^https?:\/\/[^\s?#\\]+$/i.test(text) ? URL.parse(text) : null;
  if (url === null || url.username !== '' || url.password !== '') return null;
  return url.href.replace(/\/+$/, '');
}

/** An http or https URL with nothing after its path, and only in its normal form: others compare the text. */
export const httpUrl: Format<string> = {
  ...text(
    'an http:// or https:// URL without query, fragment, user or password, spelled as services compare it: no slash at the end, small letters in the host, no default port',
    (text) => normalHttpUrl(text) === text,
  ),
  respell: normalHttpUrl,
};

/** A bare http or https URL in any spelling, for a program that does not compare it. It is used unchanged. */
export const baseUrl: Format<string> = text(
  'an http:// or https:// URL without query, fragment, user or password',
  (text) => normalHttpUrl(text) !== null,
);

/** 32 bytes as 64 hex digits, or as 43 characters of base64 or base64url with or without the closing `=`. */
export const key256: Format<Buffer> = {
  expects: '32 bytes in base64 or hex',
  accepts: (text) => /^([0-9a-f]{64}|([\w-]{43}|[a-z0-9+/]{43})=?)$/i.test(text),
  decode: (text) => Buffer.from(text, text.length === 64 ? 'hex' : 'base64'),
};

/** A mail server. Decodes to host, port, encryption and credentials. */
export const smtpTarget: Format<SmtpTarget> = {
  expects:
    'a URL: smtp://user:password@host:port or smtps://…, with other signs in a password as %2F and so on',
  accepts: (text) => parseSmtpUrl(text) !== null,
  decode: (text) => parseSmtpUrl(text) as SmtpTarget,
};

/** One Redis server, or several behind Sentinel or as a cluster. Decodes to the servers and credentials. */
export const redisTarget: Format<RedisTarget> = {
  expects: 'a URL: redis://…, rediss://…, redis+sentinel://host:port,…/NAME or redis+cluster://host:port,…',
  accepts: (text) => parseRedisUrl(text) !== null,
  decode: (text) => parseRedisUrl(text) as RedisTarget,
};

/** Where messages go: https, or http to this machine itself, with a path and a query if it needs them. It is used unchanged. */
export const webhookUrl: Format<string> = text(
  'an https:// URL, or http:// on this machine, without fragment, user or password',
  (text) => {
    const url = /^https?:\/\/[^\s#\\]+$/i.test(text) ? URL.parse(text) : null;
    if (url === null || url.username !== '' || url.password !== '') return false;
    return url.protocol === 'https:' || isLoopbackHost(url.hostname);
  },
);

/** 32 characters of base64 are 24 bytes, and 86 are 64. */
const WEBHOOK_SECRET = /^whsec_[A-Za-z\d+/]{32,86}={0,2}$/;

/** One secret of Standard Webhooks, or two, between which a space or a comma stands. Decodes to their bytes. */
export const webhookSecrets: Format<Buffer[]> = {
  expects:
    'whsec_ and 24 to 64 bytes in base64; two of them, with a space or a comma between, while one replaces the other',
  accepts: (text) => {
    const secrets = secretsIn(text);
    return secrets.length <= 2 && secrets.every((secret) => WEBHOOK_SECRET.test(secret));
  },
  decode: (text) => secretsIn(text).map((secret) => Buffer.from(secret.slice('whsec_'.length), 'base64')),
};

function secretsIn(text: string): string[] {
  return text.split(/[ ,]+/);
}

/** A type of messages, the beginning of some, or all. */
export function isEventPattern(item: string): boolean {
  return /^(\*|(user|audit)\.(\*|[a-z_]+(\.[a-z_]+|\.\*)?))$/.test(item);
}
