import { hash, randomBytes } from 'node:crypto';

/** Where a secret may be: everything else is a leak. */
type Secret = { name: string; value: string; mayBeIn: readonly string[]; digestMayBeIn: readonly string[] };

type Allowed = { mayBeIn?: readonly string[]; digestMayBeIn?: readonly string[] };

/** So much of a secret is useful to a thief, and is never there by accident. */
const TELLING_LENGTH = 14;

export type Secrets = ReturnType<typeof createSecrets>;

/** Remembers each secret that a test sends or gets, and finds them again in whatever form. */
export function createSecrets() {
  const known = new Map<string, Secret>();
  const named = new Map<string, string>();

  function keep(name: string, value: string, { mayBeIn = [], digestMayBeIn = [] }: Allowed = {}): string {
    if (value.length < TELLING_LENGTH) throw new Error(`${name} is too short to be looked for`);
    known.set(value, { name, value, mayBeIn, digestMayBeIn });
    return value;
  }

  /** A new one, in the form of a generate token, so that no look at its shape ends its way. */
  function make(name: string, allowed?: Allowed): string {
    return keep(name, randomBytes(32).toString('base64url'), allowed);
  }

  return {
    keep,
    make,
    /** The same one for the same name, until `renew`. */
    some(name: string, allowed?: Allowed): string {
      const value = named.get(name) ?? make(name, allowed);
      named.set(name, value);
      return value;
    },
    renew: () => named.clear(),
    /** What is in a text that must not be there, and where. */
    leaksIn: (place: string, text: string): string[] => search(text, indexOf([...known.values()], place)),
  };
}

/** From each telling part of each form of what must not be in a place to its description. */
function indexOf(secrets: Secret[], place: string): Map<string, string> {
  const index = new Map<string, string>();
  for (const { name, value, mayBeIn, digestMayBeIn } of secrets) {
    const digest = hash('sha256', value, 'buffer');
    const forms = [
      ...(mayBeIn.includes(place) ? [] : spellingsOf(value).flatMap(formsOf)),
      ...(digestMayBeIn.includes(place)
        ? []
        : formsOf(digest).map(([form, text]) => [`SHA-256, ${form}`, text])),
    ];
    for (const [form = '', text = ''] of forms)
      for (const part of [text.slice(0, TELLING_LENGTH), text.slice(-TELLING_LENGTH)])
        index.set(part, `${name} (${form}) is in ${place}`);
  }
  return index;
}

/** Looks at each place of the text once, however many secrets there are. */
function search(text: string, index: Map<string, string>): string[] {
  const found = new Map<string, string>();
  for (let at = 0; at + TELLING_LENGTH <= text.length; at += 1) {
    const leak = index.get(text.slice(at, at + TELLING_LENGTH));
    if (leak !== undefined) found.set(leak, text.slice(Math.max(0, at - 200), at + 100));
  }
  return [...found].map(([leak, context]) => `${leak}: …${context}…`);
}

/** A token of 32 bytes may be written as those bytes too. */
function spellingsOf(value: string): Buffer[] {
  const text = Buffer.from(value);
  return /^[\w-]{43}$/.test(value) ? [text, Buffer.from(value, 'base64url')] : [text];
}

/** All texts that bytes may be written as, with the name of the form; texts of bytes are in latin1. */
function formsOf(bytes: Buffer): [form: string, text: string][] {
  const text = bytes.toString('latin1');
  const aligned = [0, 1, 2].map((offset) => withinBase64(bytes, offset));
  return [
    ['as it is', text],
    ['as a part of a URL', encodeURIComponent(text)],
    ['hex', bytes.toString('hex')],
    ['hex', bytes.toString('hex').toUpperCase()],
    ...aligned.map((base64): [string, string] => ['base64', base64]),
    ...aligned.map((base64): [string, string] => [
      'base64url',
      base64.replaceAll('+', '-').replaceAll('/', '_'),
    ]),
  ];
}

/** The characters that depend on these bytes alone when others stand before them, as the id does in HTTP Basic. */
function withinBase64(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  return text.slice(Math.ceil((offset * 4) / 3), -4);
}
