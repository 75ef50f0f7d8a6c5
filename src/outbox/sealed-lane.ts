import Type, { type Static, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { deriveKey, openText, sealText } from '../core/sealing.ts';
import type { Lane, LaneSettings } from './outbox-lane.ts';
import type { OutboxService } from './outbox-service.ts';

const Sealed = Type.Object({ sealed: Type.String() });

/** The key-encryption keys, 32 bytes each. */
type Keys = {
  current: Buffer;
  /** The one before: messages that were sealed with it may still be waiting. */
  previous?: Buffer | undefined;
};

/** What a feature sends its secret messages by. */
export type SealedLane<Payload extends TSchema> = Pick<Lane<Payload>, 'send'>;

/**
 * Opens a lane whose payloads are secret: in the outbox they are encrypted, so that whoever reads the database, or a backup
 * of it, learns nothing from them.
 */
export function openSealedLane<Payload extends TSchema>(
  outbox: OutboxService,
  settings: LaneSettings<Payload>,
  { current, previous }: Keys,
): SealedLane<Payload> {
  const { kind, payload, deliver } = settings;
  const shape = Compile(payload);
  const purpose = `doorward messages in the outbox, ${kind}`;
  const key = deriveKey(current, purpose);
  const keys = previous === undefined ? [key] : [key, deriveKey(previous, purpose)];
  const associated = Buffer.from(kind);
  const seal = (content: Static<Payload>) => ({ sealed: sealText(key, associated, JSON.stringify(content)) });

  const lane = outbox.openLane({
    ...settings,
    payload: Sealed,
    deliver: async ({ sealed }, delivery) => {
      const text = keys.map((one) => openText(one, associated, sealed)).find((opened) => opened !== null);
      const content: unknown = text === undefined ? undefined : JSON.parse(text);
      if (!shape.Check(content)) throw new SealedPayloadError('no key of this server opens this payload');
      await deliver(content as Static<Payload>, delivery);
    },
  });

  return { send: (transaction, ...contents) => lane.send(transaction, ...contents.map(seal)) };
}

/**
 * Another key has sealed it, or another release has written it in another form. It is tried again: while a key is being
 * replaced, another replica may open it.
 */
class SealedPayloadError extends Error {
  override readonly name = 'SealedPayloadError';
}
