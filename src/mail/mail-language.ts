/** In which language a mail is written, and in which form of it dates are. */
export type MailLanguage = {
  /** The folder of its templates. */
  language: string;
  /** For `Intl`, such as `de-AT`. */
  locale: string;
};

const FALLBACK = 'en';
/** Language, script and region of RFC 5646. Nothing else: extensions could ask for other calendars and digits. */
const TAG = /^([a-z]{2,3})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?$/i;
/** More are not looked at: the text is from a request. */
const MAX_RANGES = 20;

/**
 * The language for a user (RFC 4647 §3.4): the first one asked for that there is, else English.
 * @param wanted a tag such as `de-AT`, or an `Accept-Language` header
 * @param languages what there is, such as `en` and `de`
 */
export function pickLanguage(wanted: string | null, languages: readonly string[]): MailLanguage {
  for (const tag of rangesOf(wanted ?? '')) {
    const [, language = ''] = TAG.exec(tag.toLowerCase()) ?? [];
    if (languages.includes(language)) return { language, locale: tag };
  }
  return { language: FALLBACK, locale: FALLBACK };
}

/** The tags of an `Accept-Language` header (RFC 9110 §12.5.4), the most wanted first. */
function rangesOf(header: string): string[] {
  return header
    .split(',', MAX_RANGES)
    .map((range) => {
      const [tag = '', weight = 'q=1'] = range.split(';').map((part) => part.trim());
      return { tag, weight: Number(weight.replace(/^q=/i, '')) };
    })
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight)
    .map(({ tag }) => tag);
}

const MINUTE_MS = 60_000;
/** The largest in which the time is a whole number. */
const UNITS = [
  { unit: 'day', ms: 24 * 60 * MINUTE_MS, least: 2 },
  { unit: 'hour', ms: 60 * MINUTE_MS, least: 1 },
  { unit: 'minute', ms: MINUTE_MS, least: 0 },
];

/** Such as "10 minutes", "24 hours" or "7 days". */
export function durationText(ms: number, locale: string): string {
  const fits = ({ ms: one, least }: { ms: number; least: number }) => ms % one === 0 && ms / one >= least;
  const { unit, ms: one } = UNITS.find(fits) ?? { unit: 'minute', ms: MINUTE_MS };
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(
    Math.floor(ms / one),
  );
}

/** Such as "26 November 2026 at 20:38 UTC": a mail does not know where its reader is. */
export function instantText(instant: Date, locale: string): string {
  const format = new Intl.DateTimeFormat(locale, {
    ...{ day: 'numeric', month: 'long', year: 'numeric' },
    ...{ hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: 'UTC' },
  });
  return `${format.format(instant)} UTC`;
}
