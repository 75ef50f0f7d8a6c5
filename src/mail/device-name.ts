/** The first that fits counts: most browsers claim to be others as well. */
const BROWSERS: [name: string, sign: RegExp][] = [
  ['Edge', /\bEdg(e|A|iOS)?\//],
  ['Opera', /\b(OPR|Opera|OPiOS)\//],
  ['Samsung Internet', /\bSamsungBrowser\//],
  ['Firefox', /\b(Firefox|FxiOS)\//],
  ['Chrome', /\b(Chrome|CriOS|Chromium)\//],
  ['Safari', /\bVersion\/[\d.]+.* Safari\//],
];
const SYSTEMS: [name: string, sign: RegExp][] = [
  ['iPhone', /\biPhone\b/],
  ['iPad', /\biPad\b/],
  ['Android', /\bAndroid\b/],
  ['ChromeOS', /\bCrOS\b/],
  ['Windows', /\bWindows\b/],
  ['macOS', /\bMac OS X\b|\bMacintosh\b/],
  ['Linux', /\bLinux\b/],
];

/** What a device says that it is. Null: unknown. */
export type DeviceName = { browser: string | null; system: string | null };

/**
 * The names in a `User-Agent` header. They are from a short list and never parts of the header: whoever guesses a password
 * also chooses that header, and would have words of their own in the mail to the owner.
 */
export function deviceName(userAgent: string | null): DeviceName {
  return { browser: findIn(BROWSERS, userAgent), system: findIn(SYSTEMS, userAgent) };
}

function findIn(names: [name: string, sign: RegExp][], userAgent: string | null): string | null {
  if (userAgent === null) return null;
  return names.find(([, sign]) => sign.test(userAgent))?.[0] ?? null;
}
