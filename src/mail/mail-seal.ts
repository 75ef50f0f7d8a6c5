import { deriveKey, openText, sealText } from '../core/sealing.ts';

const PURPOSE = 'doorward mails in the outbox';

/** What a sealed mail belongs to. It opens for the same mail and user only. */
export type MailBinding = { id: string; userId: string };

export type MailSeal = ReturnType<typeof createMailSeal>;

/**
 * Seals mails that wait in the outbox: they carry codes, and whoever reads the database, or a backup of it, must not use
 * one.
 * @param current the key-encryption key, 32 bytes
 * @param previous the one before: mails may still be waiting that were sealed with it
 */
export function createMailSeal(current: Buffer, previous?: Buffer) {
  const currentKey = deriveKey(current, PURPOSE);
  const keys = previous === undefined ? [currentKey] : [currentKey, deriveKey(previous, PURPOSE)];
  const associated = ({ id, userId }: MailBinding) => Buffer.from(`${id} ${userId}`);

  return {
    /** @returns base64 */
    seal: (binding: MailBinding, text: string): string => sealText(currentKey, associated(binding), text),

    /** The text that was sealed for this mail; null if no key opens it. */
    open(binding: MailBinding, sealed: string): string | null {
      for (const key of keys) {
        const text = openText(key, associated(binding), sealed);
        if (text !== null) return text;
      }
      return null;
    },
  };
}
