import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { NIL } from 'uuid';
import { deriveKey } from '../core/sealing.ts';

/** The users of one browser that it remembers: the last ones who signed in. */
const MOST_TAGS = 8;
const ID_BYTES = 16;
/** `v1`, the device's id, and tags of HMAC-SHA-256, in base64url. */
const COOKIE = /^v1\.([\w-]{22})((?:\.[\w-]{43}){0,8})$/;

/** An account and the password that it has now, by the number of its changes. */
export type DeviceUser = { id: string; credentialsVersion: number };

/** What a device's cookie holds. What the tags say is not checked yet. */
export type DeviceMark = { id: string; tags: string[] };

type KnownDeviceParts = {
  /** `PUBLIC_URL`: another deployment's devices are unknown here, even if both have the same keys. */
  issuer: string;
  /** 32 bytes. */
  keyEncryptionKey: Buffer;
  /** The one before: devices that were known by it still are. */
  previousKeyEncryptionKey?: Buffer | undefined;
};

export type KnownDevices = ReturnType<typeof createKnownDevices>;

/**
 * Devices that users have signed in on. Nothing is stored on them: a cookie holds a random id, and a tag for each user, an
 * HMAC over both that nobody else can make. When the user's password is changed, the tags of before are those of no user.
 */
export function createKnownDevices({ issuer, ...secrets }: KnownDeviceParts) {
  const keyOf = (secret: Buffer) => deriveKey(secret, `doorward known devices of ${issuer}`);
  const current = keyOf(secrets.keyEncryptionKey);
  const previous = secrets.previousKeyEncryptionKey;
  const keys = previous === undefined ? [current] : [current, keyOf(previous)];

  return {
    /** The device of a cookie's value; a new one if that is null or has another form. */
    read(cookie: string | null): DeviceMark {
      const [, id, tags = ''] = COOKIE.exec(cookie ?? '') ?? [];
      if (id === undefined) return { id: randomBytes(ID_BYTES).toString('base64url'), tags: [] };
      return { id, tags: tags.split('.').slice(1) };
    },

    /**
     * Whether the user has signed in on the device since the password was set.
     * @param user null: there is no such account; that takes as long
     */
    knows(device: DeviceMark, user: DeviceUser | null): boolean {
      return keys.some((key) => isOneOf(device.tags, tagOf(key, device, user))) && user !== null;
    },

    /** The cookie's value after the user has signed in on the device. */
    remember(device: DeviceMark, user: DeviceUser): string {
      const own = keys.map((key) => tagOf(key, device, user));
      const others = device.tags.filter((tag) => !own.includes(tag));
      return ['v1', device.id, own[0], ...others.slice(0, MOST_TAGS - 1)].join('.');
    },
  };
}

function tagOf(key: KeyObject, { id }: DeviceMark, user: DeviceUser | null): string {
  const { id: userId, credentialsVersion } = user ?? { id: NIL, credentialsVersion: 0 };
  return createHmac('sha256', key).update(`${id} ${userId} ${credentialsVersion}`).digest('base64url');
}

/** Compares with all, so that the time tells nothing. Tags have one length. */
function isOneOf(tags: string[], tag: string): boolean {
  return tags.filter((one) => timingSafeEqual(Buffer.from(one), Buffer.from(tag))).length > 0;
}
