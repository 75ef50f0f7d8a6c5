import german from './texts/de.json' with { type: 'json' };
import english from './texts/en.json' with { type: 'json' };

/** Every text has a name. */
export type TextName = keyof typeof english;

/** The texts of one language, and its own sentences for what is wrong with a field, as `rule: ` and the English sentence. */
export type Texts = Record<TextName, string> & Record<`rule: ${string}`, string | undefined>;

/** The texts by their language; English is the first, and what is missing elsewhere is English. */
export type Catalogue = { languages: [string, ...string[]]; texts: Record<string, Texts> };

/** The texts of this server, without those of an operator. */
const OWN_TEXTS: Record<string, Texts> = { en: english, de: german };

/** Whether a text of this name is ever shown. */
export function isTextName(name: string): boolean {
  return name in english || name.startsWith('rule: ');
}

/** @param changes texts by language and name, which replace and add to those of this server */
export function makeCatalogue(changes: Record<string, Partial<Texts>>): Catalogue {
  const others = Object.keys({ ...OWN_TEXTS, ...changes }).filter((language) => language !== 'en');
  const languages: [string, ...string[]] = ['en', ...others];
  const inEnglish: Texts = { ...english, ...changes.en };
  const texts = languages.map((language) => [
    language,
    { ...inEnglish, ...OWN_TEXTS[language], ...changes[language] },
  ]);
  return { languages, texts: Object.fromEntries(texts) };
}

/** Puts values into the places of a text, `{name}`. */
export function fill(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => values[name] ?? place);
}

/**
 * A sentence about what is wrong with a field.
 * @param label of the field
 * @param message of the rule, in English: a sentence, or one without its subject, which is the field
 */
export function explainRule(texts: Texts, label: string, message: string): string {
  const numbers: Record<string, string> = {};
  const pattern = message.replace(/U\+[\dA-F]+|\d+/g, (number) => {
    numbers[Object.keys(numbers).length + 1] = number;
    return '#';
  });
  const sentence = texts[`rule: ${pattern}`];
  if (sentence !== undefined) return fill(sentence, numbers);
  return /^\p{Lu}/u.test(message) ? message : `${label} ${message}.`;
}
