const MAX_RANGES = 20;

/**
 * The language that the client wants most among those that are there (RFC 9110 §12.5.4, basic filtering of RFC 4647
 * §3.3.1 by the first subtag).
 * @param available primary subtags in small letters, such as `de`
 * @returns the first of `available` when the client wants none of them
 */
export function preferredLanguage(
  header: string | undefined,
  available: readonly [string, ...string[]],
): string {
  const ranges = (header ?? '').toLowerCase().split(',').slice(0, MAX_RANGES).map(readRange);
  let best = { language: available[0], weight: 0 };
  for (const { language, weight } of ranges)
    if (weight > best.weight && available.includes(language)) best = { language, weight };
  return best.language;
}

function readRange(range: string): { language: string; weight: number } {
  const [tag = '', ...parameters] = range.split(';').map((part) => part.trim());
  const quality = parameters.find((parameter) => parameter.startsWith('q='));
  const weight = quality === undefined ? 1 : Number(quality.slice(2)) || 0;
  return { language: String(tag.split('-', 1)[0]), weight };
}
