import { deriveKey, openText, sealText } from '../core/sealing.ts';
import type { SignerKey } from './stored-hash.ts';

const PURPOSE = 'doorward signer keys of imported hashes';

export type SignerKeySeal = ReturnType<typeof createSignerKeySeal>;

/**
 * Seals what an origin mixed into its password hashes: with it, and a copy of the database, passwords can be guessed. A key
 * opens for its strength only.
 * @param current the key-encryption key, 32 bytes
 * @param previous the one before, as long as there are keys sealed with it
 */
export function createSignerKeySeal(current: Buffer, previous?: Buffer) {
  const currentKey = deriveKey(current, PURPOSE);
  const keys = previous === undefined ? [currentKey] : [currentKey, deriveKey(previous, PURPOSE)];

  return {
    seal(strength: string, { signerKey, saltSeparator }: SignerKey): Buffer {
      const text = `${saltSeparator.toString('base64')}$${signerKey.toString('base64')}`;
      return Buffer.from(sealText(currentKey, Buffer.from(strength), text), 'base64');
    },

    /** The key, and whether it was sealed with the current key-encryption key; null if none opens it. */
    open(strength: string, sealed: Buffer): { key: SignerKey; isCurrent: boolean } | null {
      for (const one of keys) {
        const text = openText(one, Buffer.from(strength), sealed.toString('base64'));
        if (text !== null) return { key: readKey(text), isCurrent: one === currentKey };
      }
      return null;
    },
  };
}

function readKey(text: string): SignerKey {
  const [saltSeparator, signerKey] = text.split('$').map((part) => Buffer.from(part, 'base64'));
  return { saltSeparator, signerKey } as SignerKey;
}
