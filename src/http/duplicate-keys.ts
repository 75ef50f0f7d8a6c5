import { escapePointer } from './problem.ts';

/** A string, or a character that gives JSON its structure (RFC 8259 §2). Numbers and literals have neither in them. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]/g;

/** An open object or array: its keys so far, and the key or index that the text is at. */
type Level = { keys: Set<string>; step: string | number };

/**
 * The JSON Pointer (RFC 6901) of the first key that comes twice in its object; null if none does. JSON.parse takes the
 * last one, and other programs the first (RFC 8259 §4), so a gateway may have checked another value.
 * @param text valid JSON
 */
export function findDuplicateKey(text: string): string | null {
  const levels: Level[] = [];
  let lastString = '';
  for (const [token] of text.matchAll(TOKEN)) {
    const level = levels.at(-1) as Level;
    if (token === '{') levels.push({ keys: new Set(), step: '' });
    else if (token === '[') levels.push({ keys: new Set(), step: 0 });
    else if (token === '}' || token === ']') levels.pop();
    else if (token === ':') {
      const key: string = JSON.parse(lastString);
      level.step = key;
      if (level.keys.has(key)) return pointerTo(levels);
      level.keys.add(key);
    } else if (token !== ',') lastString = token;
    else if (typeof level.step === 'number') level.step += 1;
  }
  return null;
}

function pointerTo(levels: Level[]): string {
  return levels.map(({ step }) => `/${escapePointer(String(step))}`).join('');
}
