import { type KeyObject, sign } from 'node:crypto';
import type { SigningAlgorithm } from '../core/jwk.ts';
import type { Sign, SignerKey } from './key-service.ts';

/**
 * The signer of one key, made once for it. @fastify/jwt does not sign here: it has one key, from its registration, and for
 * any other key it parses the key and makes a signer for each token, while our keys change at run time; and the command
 * line signs without an app. CPU time for one token of a user, in µs:
 *
 * |                                            | ES256 | EdDSA | RS256 |
 * |--------------------------------------------|-------|-------|-------|
 * | this file                                  |    37 |    53 |  1020 |
 * | fast-jwt, inside @fastify/jwt, signer kept |    39 |    57 |  1026 |
 * | `app.jwt.sign` with key and kid            |    78 |   129 |  1716 |
 *
 * The signature is most of the cost of `POST /token` (bench/README.md).
 */
export function createTokenSigner({ kid, algorithm, privateKey }: SignerKey): Sign {
  const headerOf = (typ: string) => encode({ alg: algorithm, typ, kid });
  const headers = { 'at+jwt': headerOf('at+jwt'), 'one-time+jwt': headerOf('one-time+jwt') };
  const signatureOf = SIGNATURES[algorithm];
  return (claims, type) => {
    const input = `${headers[type]}.${encode(claims)}`;
    return `${input}.${signatureOf(Buffer.from(input, 'latin1'), privateKey).toString('base64url')}`;
  };
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

/** RFC 7518 §3.3 and §3.4, RFC 8037 §3.1. Ed25519 hashes by itself. Node's default padding for RSA is PKCS #1 v1.5. */
const SIGNATURES: Record<SigningAlgorithm, (input: Buffer, key: KeyObject) => Buffer> = {
  // With a bare KeyObject: asking Node for this form itself was half as fast before Node 26.
  ES256: (input, key) => toJose(sign('sha256', input, key)),
  EdDSA: (input, key) => sign(null, input, key),
  RS256: (input, key) => sign('sha256', input, key),
};

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
