import { domainToASCII, domainToUnicode } from 'node:url';

/** An address as the user typed it (trimmed), and its canonical form, which identifies the account. */
type EmailAddress = { canonical: string; asTyped: string };

/** Why an address was refused: a sentence for the user. */
type EmailProblem = { problem: string };

const MAX_ADDRESS_OCTETS = 254; // RFC 5321 §4.5.3.1.3: a path of 256, less its angle brackets
const MAX_LOCAL_OCTETS = 64; // RFC 5321 §4.5.3.1.1
const MAX_TYPED_LENGTH = 2000; // longer than any valid address, even decomposed; limits the work on invalid input

const WORD = /[\p{L}\p{M}\p{N}]+/gu;
const ALIKE_SCRIPTS = [/\p{Script=Latin}/u, /\p{Script=Greek}/u, /\p{Script=Cyrillic}/u];
// RFC 5321 §4.1.2 Dot-string; RFC 6531 §3.3 adds the letters and digits of other scripts, a mark only after one of
// them.
const DOT_STRING = /^(?!\.)(?:\.?(?:[!#$%&'*+\-/=?^_`{|}~]|[\p{L}\p{Nd}]\p{M}*))+$/u;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'; // RFC 1123 §2.1, RFC 1035 §2.3.4
const DOMAIN = new RegExp(`^(?:${LABEL}\\.)+${LABEL}$`);

type Rule = { broken: (text: string) => boolean; problem: string };

/** Rules for the whole text as it was typed, checked in this order. */
const TEXT_RULES: Rule[] = [
  { broken: (text) => text === '', problem: 'is empty' },
  { broken: (text) => text.length > MAX_TYPED_LENGTH, problem: 'is too long' },
  { broken: (text) => /[\p{C}\p{DI}]/u.test(text), problem: 'has an invisible or control character' },
  { broken: (text) => /\p{White_Space}/u.test(text), problem: 'has a space in it' },
  { broken: (text) => /["\\]/.test(text), problem: 'is quoted, which is not supported' },
  { broken: (text) => /[()<>,;]/.test(text), problem: 'must be a bare address, without a name or a comment' },
  {
    // Each character by itself: NFC of the whole text would replace some of them unseen, such as the kelvin sign.
    broken: (text) => Array.from(text).some((character) => character.normalize('NFKC') !== character),
    problem: 'has a special form of another character; use the plain one',
  },
  { broken: mixesAlikeScripts, problem: 'mixes letters of several alphabets in one word' },
  { broken: (text) => text.split('@').length !== 2, problem: 'must have exactly one @' },
];

const LOCAL_RULES: Rule[] = [
  { broken: (local) => local === '', problem: 'has nothing before the @' },
  {
    broken: hasUnstableCase,
    problem:
      'has a letter before the @ that changes when it is made a capital and small again; use an address without it',
  },
  { broken: (local) => /^\.|\.\.|\.$/.test(local), problem: 'has a misplaced dot before the @' },
  { broken: (local) => !DOT_STRING.test(local), problem: 'has a character that is not allowed before the @' },
  {
    broken: (local) => Buffer.byteLength(local) > MAX_LOCAL_OCTETS,
    problem: `is longer than ${MAX_LOCAL_OCTETS} bytes before the @`,
  },
];

const DOMAIN_RULES: Rule[] = [
  { broken: (domain) => domain === '', problem: 'has nothing after the @' },
  {
    broken: (domain) => domain.startsWith('['),
    problem: 'must have a domain name, not an IP address, after the @',
  },
  { broken: (domain) => /(?:^|\.)\d+$/.test(domain), problem: 'has a domain that ends in a number' },
  // A name such as "localhost" means another machine on each network, and no mail server on the internet has one.
  { broken: (domain) => !domain.includes('.'), problem: 'must have a full domain, such as example.com' },
  {
    // In Greek the capital sigma at the end of a word: JavaScript makes it ς, UTS #46 makes it σ.
    broken: (domain) => toAsciiDomain(domain) === '' && toAsciiDomain(lowerCase(domain)) !== '',
    problem:
      'has a capital letter in its domain that can be read in two ways; type the domain in small letters',
  },
  { broken: (domain) => !DOMAIN.test(toAsciiDomain(domain)), problem: 'has a domain that is not valid' },
];

const WHOLE_RULES: Rule[] = [
  {
    broken: (canonical) => Buffer.byteLength(canonical) > MAX_ADDRESS_OCTETS,
    problem: `is longer than ${MAX_ADDRESS_OCTETS} bytes`,
  },
];

/**
 * Reads an e-mail address and finds its canonical form: trimmed, NFC, lower-cased independently of the locale, the
 * domain in ASCII (A-labels); dots and plus tags stay. One canonical form means one account, so an address that two
 * programs could read as different mailboxes is refused. Letters outside ASCII are allowed before the @ (RFC 6531) if
 * they are unambiguous: people own such mailboxes, and the checks below allow one spelling for each. In a domain they
 * are what IDNA makes of them, so a domain typed in letters and the same one in ASCII are one account, and both are
 * judged by the letters.
 *
 * Returns the address, or its problem; never throws. The canonical form of a canonical form is itself. Limits in
 * octets: RFC 5321 §4.5.3.1.
 */
export function parseEmailAddress(input: string): EmailAddress | EmailProblem {
  const asTyped = input.trim();
  const textProblem = findProblem(TEXT_RULES, asTyped);
  if (textProblem !== null) return textProblem;

  const [typedLocal = '', domain = ''] = asTyped.normalize('NFC').split('@');
  const local = lowerCase(typedLocal);
  const partProblem = findProblem(LOCAL_RULES, local) ?? findProblem(DOMAIN_RULES, domain);
  if (partProblem !== null) return partProblem;

  const canonical = `${local}@${toAsciiDomain(domain)}`;
  const inLetters = `${local}@${domainToUnicode(domain)}`;
  const problem = findProblem(TEXT_RULES, inLetters) ?? findProblem(WHOLE_RULES, canonical);
  return problem ?? { canonical, asTyped };
}

function findProblem(rules: Rule[], text: string): EmailProblem | null {
  const rule = rules.find(({ broken }) => broken(text));
  return rule === undefined ? null : { problem: `The address ${rule.problem}.` };
}

/**
 * In NFC: a small letter may have a form with its marks that the capital one does not have, as ΐ. Word by word: the lower
 * case of a final sigma depends on what follows, and a dot ends no word for `toLowerCase`.
 */
function lowerCase(text: string): string {
  return text.replace(WORD, (word) => word.toLowerCase()).normalize('NFC');
}

/** Whether upper case and back changes the text, as with the Turkish dotted capital I or the German sharp s. */
function hasUnstableCase(text: string): boolean {
  const lower = lowerCase(text);
  const upper = lower.toUpperCase().normalize('NFC');
  return upper.length !== lower.length || lowerCase(upper) !== lower;
}

/** Many letters of Latin, Greek and Cyrillic look alike, so a mix can look like a word of one of them (UTS #39). */
function mixesAlikeScripts(text: string): boolean {
  const words = text.match(WORD) ?? [];
  return words.some((word) => ALIKE_SCRIPTS.filter((script) => script.test(word)).length > 1);
}

/**
 * The domain in ASCII, or '' if that is not the same name.
 *
 * `domainToASCII` reads a host as a browser does: it decodes %61, cuts at a slash, turns 0x7f.1 into 127.0.0.1 and
 * keeps broken punycode. So only a name that is unchanged after conversion to ASCII and back, but for capitals, is
 * accepted.
 */
function toAsciiDomain(domain: string): string {
  const ascii = domainToASCII(domain);
  const unicode = domainToUnicode(ascii);
  const lower = lowerCase(domain);
  // Cherokee is the one script that IDNA writes in capitals, so both sides are lower-cased.
  const isSame = (lower === ascii || lower === lowerCase(unicode)) && domainToASCII(unicode) === ascii;
  return isSame && !/(?:^|\.)xn--/.test(unicode) ? ascii : '';
}
