/**
 * Characters that a terminal obeys instead of showing them, such as ESC, and those that turn the direction of what follows.
 * Names, addresses and user agents come from strangers: with such a character in one of them, a line could hide or forge
 * what stands beside it, or write to the clipboard of the operator.
 */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;
/** JSON has line feeds between its members, and none within them. */
const OBEYED_IN_JSON = /(?!\n)[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;

/** Text for a terminal, in one line: what it would obey is shown as an escape, such as `\u001b`. */
export function visible(text: string): string {
  return text.replace(OBEYED, escapeOf);
}

/** A value as JSON that a terminal only shows. Whoever parses it gets the same value. @param space as for JSON.stringify */
export function visibleJson(value: unknown, space?: number): string {
  return JSON.stringify(value, null, space).replace(OBEYED_IN_JSON, escapeOf);
}

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
