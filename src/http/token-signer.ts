import jwt from '@fastify/jwt';
import Fastify from 'fastify';
import type { Sign, SignerKey } from '../keys/key-service.ts';

/**
 * The signer of one key, through @fastify/jwt: one instance for each type of token, all made once.
 *
 * The plugin takes its key at registration and builds a signer per call for any other key or header, parsing the PEM
 * each time (425 µs against 25). Keys change while the server runs, so each gets bare instances of its own.
 */
export async function createTokenSigner(key: SignerKey): Promise<Sign> {
  const [accessTokens, oneTimeTokens] = await Promise.all([
    createHost(key, 'at+jwt'),
    createHost(key, 'one-time+jwt'),
  ]);
  return (claims, type) => (type === 'at+jwt' ? accessTokens : oneTimeTokens).jwt.sign(claims);
}

async function createHost({ kid, algorithm, privateKey, publicKey }: SignerKey, typ: string) {
  const host = Fastify();
  await host.register(jwt, {
    secret: {
      private: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
      public: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    },
    sign: { algorithm: algorithm as 'ES256', kid, header: { alg: algorithm, typ } },
  });
  await host.ready();
  return host;
}
