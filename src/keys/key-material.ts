import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  type DecipherGCM,
  generateKeyPair,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import type { PublicJwk, SigningAlgorithm } from '../core/jwk.ts';

export type KeyMaterial = {
  kid: string;
  algorithm: SigningAlgorithm;
  publicJwk: PublicJwk;
  privateKey: KeyObject;
};

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
const RSA_BITS = 3072;

const generate = promisify(generateKeyPair);

const GENERATORS: Record<SigningAlgorithm, () => Promise<{ privateKey: KeyObject }>> = {
  ES256: () => generate('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generate('ed25519'),
  RS256: () => generate('rsa', { modulusLength: RSA_BITS }),
};

/** Makes a key pair. */
export async function generateKeyMaterial(algorithm: SigningAlgorithm): Promise<KeyMaterial> {
  const { privateKey } = await GENERATORS[algorithm]();
  return materialOf(privateKey);
}

/** Our algorithm for each type of key that Node knows. */
const ALGORITHMS: Record<string, SigningAlgorithm> = { ec: 'ES256', ed25519: 'EdDSA', rsa: 'RS256' };

/**
 * All that follows from a private key that `generateKeyMaterial` has made. The `kid` is the RFC 7638 thumbprint, so a
 * key has the same name everywhere.
 */
export async function materialOf(privateKey: KeyObject): Promise<KeyMaterial> {
  const algorithm = ALGORITHMS[String(privateKey.asymmetricKeyType)] as SigningAlgorithm;
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' }) as { kty: string };
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, algorithm, privateKey, publicJwk: { ...jwk, kid, alg: algorithm, use: 'sig' } };
}

export type KeySeal = ReturnType<typeof createKeySeal>;

/** A stored signing key cannot be decrypted: the message says which one and what to do. */
export class KeyEncryptionKeyError extends Error {
  override readonly name = 'KeyEncryptionKeyError';
}

/**
 * Encrypts private keys as PKCS #8 with AES-256-GCM. The kid is associated data, so that no row can be replaced by
 * another.
 * @param current the key-encryption key, 32 bytes
 * @param previous the one before, as long as there are keys sealed with it
 */
export function createKeySeal(current: Buffer, previous?: Buffer) {
  return {
    /** @returns nonce (12 bytes), tag (16 bytes), ciphertext */
    seal: (privateKey: KeyObject, kid: string): Buffer => encrypt(privateKey, kid, current),

    /**
     * @returns the private key, and whether it was sealed with the current key-encryption key
     * @throws KeyEncryptionKeyError when neither key opens it, or the bytes or the kid were changed
     */
    open(kid: string, sealed: Buffer): { privateKey: KeyObject; isCurrent: boolean } {
      for (const key of [current, previous]) {
        const privateKey = key && decrypt(sealed, kid, key);
        if (privateKey) return { privateKey, isCurrent: key === current };
      }
      throw new KeyEncryptionKeyError(
        `KEY_ENCRYPTION_KEY does not open signing key ${kid}: set it, or KEY_ENCRYPTION_KEY_PREVIOUS, to the key with which that one was stored. Nothing was changed.`,
      );
    },
  };
}

function encrypt(privateKey: KeyObject, kid: string, key: Buffer): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, key, iv).setAAD(Buffer.from(kid));
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
  const ciphertext = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]);
}

function decrypt(sealed: Buffer, kid: string, key: Buffer): KeyObject | null {
  if (sealed.length < IV_BYTES + TAG_BYTES) return null;
  const iv = sealed.subarray(0, IV_BYTES);
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(kid)).setAuthTag(sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
  const opened = decipher.update(sealed.subarray(IV_BYTES + TAG_BYTES));
  const rest = finish(decipher);
  return rest && createPrivateKey({ key: Buffer.concat([opened, rest]), format: 'der', type: 'pkcs8' });
}

/** Null if the tag does not match key, kid and bytes. That is the only error at the end of a GCM decryption. */
function finish(decipher: DecipherGCM): Buffer | null {
  try {
    return decipher.final();
  } catch {
    return null;
  }
}
