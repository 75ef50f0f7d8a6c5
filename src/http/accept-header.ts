/** What an `Accept` header thinks of a media type. `specificity`: 2 for the type itself, 1 for `text/*`, 0 for any. */
type Preference = { weight: number; specificity: number };

const REFUSED: Preference = { weight: 0, specificity: 0 };

/**
 * Whether the client would rather have HTML than JSON (RFC 9110 §12.5.1), as browsers say. Programs that take anything,
 * such as curl, get JSON. Never refuses: who accepts neither gets JSON as well.
 */
export function prefersHtml(accept?: string): boolean {
  return prefers('text/html', accept);
}

/** The same for a stream of events, as `EventSource` asks for one. */
export function prefersEventStream(accept?: string): boolean {
  return prefers('text/event-stream', accept);
}

function prefers(type: string, accept = '*/*'): boolean {
  const ranges = accept.toLowerCase().split(',').map(parseRange);
  const wanted = preferenceFor(type, ranges);
  const json = preferenceFor('application/json', ranges);
  if (wanted.weight !== json.weight) return wanted.weight > json.weight;
  return wanted.weight > 0 && wanted.specificity > json.specificity;
}

type Range = { type: string; weight: number };

function parseRange(range: string): Range {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  return { type, weight: weight === undefined ? 1 : Number(weight.slice(2)) || 0 };
}

/** The most specific range counts, even if a wider one has more weight. */
function preferenceFor(type: string, ranges: Range[]): Preference {
  const patterns = ['*/*', `${type.split('/')[0]}/*`, type];
  return ranges
    .map((range) => ({ weight: range.weight, specificity: patterns.indexOf(range.type) }))
    .filter(({ specificity }) => specificity >= 0)
    .reduce((best, next) => (next.specificity >= best.specificity ? next : best), REFUSED);
}
