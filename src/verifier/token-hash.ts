/** The first 8 bytes of the SHA-256 of a text in UTF-8, as two words. */
type Hash = { high: number; low: number };

export type HashText = (text: string) => Hash | Promise<Hash>;

type NodeCrypto = { hash(algorithm: string, text: string, encoding: 'latin1'): string };
/** The part of `globalThis` that tells whether this is Node. */
type Runtime = { process?: { getBuiltinModule?(name: string): unknown } };

/**
 * Hashes at once where Node's `crypto` is, or something like it: that takes a third of a microsecond. Elsewhere by
 * WebCrypto, which is asynchronous. It is not imported, or no bundler could make this module for a browser.
 */
export function createTokenHash(runtime: Runtime = globalThis): HashText {
  const node = runtime.process?.getBuiltinModule?.('node:crypto') as Partial<NodeCrypto> | undefined;
  const { hash } = node ?? {};
  if (hash) return (text) => hashOf(hash('sha256', text, 'latin1'));
  return async (text) => {
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    return hashOf(String.fromCharCode(...new Uint8Array(digest)));
  };
}

function hashOf(digest: string): Hash {
  return { high: wordAt(digest, 0), low: wordAt(digest, 4) };
}

/** @param digest a character for each byte */
function wordAt(digest: string, at: number): number {
  const upper = (digest.charCodeAt(at) << 8) | digest.charCodeAt(at + 1);
  const lower = (digest.charCodeAt(at + 2) << 8) | digest.charCodeAt(at + 3);
  return ((upper << 16) | lower) >>> 0;
}
