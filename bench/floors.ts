/**
 * The most that a server in Node can do: bare Fastify, with one part of `POST /token` at a time. `npm run bench` runs
 * it in a process of its own.
 */
import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import Fastify from 'fastify';
import { Redis } from 'ioredis';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const header = encode({ alg: 'ES256', typ: 'at+jwt', kid: randomBytes(32).toString('base64url') });

const subject = {
  ...{ iss: 'https://auth.example.com', sub: randomUUID(), aud: 'api', client_id: 'browser' },
  ...{ scope: '', sid: randomUUID(), email: 'ada@example.com', email_verified: false, auth_time: seconds() },
};
const fixedToken = createToken();

const redis = new Redis(String(process.env.REDIS_URL), { keyPrefix: 'floor:' });
const sessionKey = createHash('sha256').update(randomBytes(32)).digest('hex');
await redis.set(
  sessionKey,
  JSON.stringify({ tokenHash: sessionKey, record: { ...subject, createdAt: Date.now() } }),
);

const app = Fastify();
const json = {
  schema: {
    response: {
      200: {
        type: 'object',
        properties: {
          access_token: { type: 'string' },
          token_type: { type: 'string' },
          expires_in: { type: 'integer' },
        },
      },
    },
  },
};
app.post('/json', json, async () => tokenResponse(fixedToken));
app.post('/sign', json, async () => tokenResponse(createToken()));
app.post('/get-sign', json, async () => {
  if ((await redis.get(sessionKey)) === null) throw new Error('the floor has lost its entry');
  return tokenResponse(createToken());
});
process.stdout.write(`listening on ${await app.listen({ port: 0, host: '127.0.0.1' })}\n`);

function tokenResponse(token: string) {
  return { access_token: token, token_type: 'Bearer', expires_in: 1800 };
}

/**
 * The quickest ES256 in Node: synchronous `sign` with a bare KeyObject, and DER converted to JOSE by hand. (The option
 * `ieee-p1363` is never quicker, and half as fast on Node 24; see README.md.)
 */
function createToken(): string {
  const now = seconds();
  const payload = encode({
    ...subject,
    iat: now,
    exp: now + 1800,
    jti: randomBytes(16).toString('base64url'),
  });
  const input = `${header}.${payload}`;
  return `${input}.${toJose(sign('sha256', Buffer.from(input), privateKey)).toString('base64url')}`;
}

/** RFC 7518 §3.4. */
function toJose(der: Buffer): Buffer {
  const jose = Buffer.alloc(64);
  const rEnd = 4 + der.readUInt8(3);
  copyNumber(der.subarray(4, rEnd), jose.subarray(0, 32));
  copyNumber(der.subarray(rEnd + 2), jose.subarray(32));
  return jose;
}

function copyNumber(integer: Buffer, number: Buffer): void {
  const digits = integer.subarray(Math.max(0, integer.length - number.length));
  digits.copy(number, number.length - digits.length);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
