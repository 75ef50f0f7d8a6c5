import { type KeyObject, sign } from 'node:crypto';
import jwt from '@fastify/jwt';
import Fastify from 'fastify';
import type { Sign, SignerKey } from './key-service.ts';

/**
 * The signer of one key, made once for that key: @fastify/jwt's; for ES256, the default, one of our own.
 *
 * The signature is most of what a token costs, and all around it counts: the header made once, and DER turned into JOSE
 * without a parser, take a twentieth off `POST /token` (bench/README.md).
 */
export async function createTokenSigner(key: SignerKey): Promise<Sign> {
  if (key.algorithm === 'ES256') return createEs256Signer(key);
  const [accessTokens, oneTimeTokens] = await Promise.all([
    createHost(key, 'at+jwt'),
    createHost(key, 'one-time+jwt'),
  ]);
  return (claims, type) => (type === 'at+jwt' ? accessTokens : oneTimeTokens).jwt.sign(claims);
}

/**
 * An instance for one key and one type of token. The plugin takes its key at registration and builds a signer per call
 * for any other key or header, parsing the PEM each time (425 µs against 25), and keys change while the server runs.
 */
async function createHost({ kid, algorithm, privateKey, publicKey }: SignerKey, typ: string) {
  const host = Fastify();
  await host.register(jwt, {
    secret: {
      private: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
      public: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    },
    sign: { algorithm: algorithm as 'EdDSA', kid, header: { alg: algorithm, typ } },
  });
  await host.ready();
  return host;
}

function createEs256Signer({ kid, privateKey }: SignerKey): Sign {
  const headerOf = (typ: string) => encode({ alg: 'ES256', typ, kid });
  const headers = { 'at+jwt': headerOf('at+jwt'), 'one-time+jwt': headerOf('one-time+jwt') };
  return (claims, type) => {
    const input = `${headers[type]}.${encode(claims)}`;
    return `${input}.${signEs256(input, privateKey)}`;
  };
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

/** RFC 7518 §3.4. With a bare KeyObject: asking Node for this form itself was half as fast before Node 26. */
function signEs256(input: string, key: KeyObject): string {
  return toJose(sign('sha256', Buffer.from(input, 'latin1'), key)).toString('base64url');
}

const NUMBER_BYTES = 32;

/** A DER sequence of two integers, each of up to 33 bytes, into two numbers of 32 bytes. */
function toJose(der: Buffer): Buffer {
  const jose = Buffer.alloc(2 * NUMBER_BYTES);
  const rEnd = 4 + der.readUInt8(3);
  copyNumber(der.subarray(4, rEnd), jose.subarray(0, NUMBER_BYTES));
  copyNumber(der.subarray(rEnd + 2), jose.subarray(NUMBER_BYTES));
  return jose;
}

/** Without the zero that keeps DER's integer positive, with the zeros that DER leaves out. */
function copyNumber(integer: Buffer, number: Buffer): void {
  const digits = integer.subarray(Math.max(0, integer.length - number.length));
  digits.copy(number, number.length - digits.length);
}
