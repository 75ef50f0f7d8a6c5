/**
 * Verifications a second: the verifier against raw `jose` with a key imported beforehand.
 *
 *     npx node bench/verifier.ts
 *
 * Both take turns in short rounds, so that other work on the machine affects both. Medians of the rounds; CPU time is
 * that of all threads of the process.
 */
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import { createVerifier } from '../src/verifier/verifier.ts';
import { median } from './report.ts';

const ROUNDS = 15;
const ROUND_MS = 150;
const AT_ONCE = 16;

const issuer = 'https://auth.example.com';
const audience = 'shop';

type Measured = { perSecond: number; cpuMicroseconds: number };

async function measure(verify: () => Promise<unknown>): Promise<Measured> {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  let count = 0;
  while (performance.now() - startedAt < ROUND_MS) {
    await Promise.all(Array.from({ length: AT_ONCE }, verify));
    count += AT_ONCE;
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const perSecond = (count * 1000) / (performance.now() - startedAt);
  return { perSecond, cpuMicroseconds: (user + system) / count };
}

async function contenders(
  algorithm: string,
): Promise<[ours: () => Promise<unknown>, raw: () => Promise<unknown>]> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const jwk = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: algorithm, use: 'sig' };
  const claims = {
    ...{ client_id: 'browser', sid: crypto.randomUUID(), email: 'ada@example.com', email_verified: true },
    ...{ scope: '', auth_time: Math.floor(Date.now() / 1000) },
  };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: algorithm, kid: 'key-1', typ: 'at+jwt' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(crypto.randomUUID())
    .setJti(crypto.randomUUID())
    .setIssuedAt()
    .setExpirationTime('30m')
    .sign(privateKey);
  const fetch = async () => Response.json({ keys: [jwk] });
  const { verify } = createVerifier({ issuer, audience, jwksUri: `${issuer}/jwks`, fetch });
  const options = { issuer, audience, typ: 'at+jwt', algorithms: ['ES256', 'EdDSA', 'RS256'] };
  return [() => verify(token), () => jwtVerify(token, publicKey, options)];
}

function medians(rounds: Measured[]): Measured {
  return {
    perSecond: median(rounds.map(({ perSecond }) => perSecond)),
    cpuMicroseconds: median(rounds.map(({ cpuMicroseconds }) => cpuMicroseconds)),
  };
}

async function compare(algorithm: string): Promise<void> {
  const [ours, raw] = await contenders(algorithm);
  const rounds: [Measured, Measured][] = [];
  // The first round warms up and is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) rounds.push([await measure(ours), await measure(raw)]);
  const counted = rounds.slice(1);
  const [us, jose] = [medians(counted.map(([one]) => one)), medians(counted.map(([, other]) => other))];
  const ratio = median(counted.map(([one, other]) => one.cpuMicroseconds / other.cpuMicroseconds));
  const cells = [us, jose].flatMap((m) => [m.perSecond.toFixed(0), m.cpuMicroseconds.toFixed(1)]);
  process.stdout.write(`| ${[algorithm, ...cells, ratio.toFixed(3)].join(' | ')} |\n`);
}

process.stdout.write('| algorithm | ours/s | CPU µs each | jose/s | CPU µs each | CPU, ours : jose |\n');
process.stdout.write('| --- | --- | --- | --- | --- | --- |\n');
for (const algorithm of ['ES256', 'EdDSA', 'RS256']) await compare(algorithm);
