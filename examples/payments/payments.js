import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { doorwardFastify } from '@doorward/verifier/fastify';
import Fastify from 'fastify';

const { PORT = '4002', HOST = '127.0.0.1', AUDIENCE = 'payments', CLIENT_ID = 'payments' } = process.env;
/** `iss` of the tokens: exactly PUBLIC_URL of Doorward. */
const issuer = process.env.DOORWARD_URL ?? 'http://localhost:3000';
/** The URL of the same server for this service, if it is different, such as in a private network. */
const internal = process.env.DOORWARD_INTERNAL_URL;

/** By user and purchase. A real service keeps this in its database, under a unique key. */
const purchases = new Map();

const app = Fastify({
  logger: { level: process.env.LOG_LEVEL ?? 'info' },
  // A wrong type is refused, never guessed at: '10' + 1 is not 11.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
});

// Before the routes: from here on a route that declares no door is `verified`.
await app.register(doorwardFastify, {
  realm: 'payments',
  verifier: {
    issuer,
    audience: AUDIENCE,
    logger: app.log,
    ...(internal && { jwksUri: `${internal}/.well-known/jwks.json`, allowInsecure: true }),
  },
  // For doors that ask Doorward: `checked`, `once`, and `maxRevocationLag` when it is exceeded. From `doorward clients add payments --audience payments`.
  introspection: {
    clientId: CLIENT_ID,
    clientSecret: readSecret(),
    ...(internal && { introspectionUri: `${internal}/oauth/introspect` }),
  },
});

app.get('/health', { config: { door: 'open' }, logLevel: 'warn' }, async () => ({ status: 'ok' }));

const buy = {
  // One token, one purchase, and the address in the body must be the signed-in user's. A request with the same token
  // and key may pass again, because the handler answers it with the same receipt.
  config: { door: { door: 'once', matchEmail: true, repeatable: true } },
  schema: {
    headers: {
      type: 'object',
      properties: { 'idempotency-key': { type: 'string', pattern: '^[!-~]{1,255}$' } },
    },
    body: {
      type: 'object',
      required: ['email', 'amount_cents'],
      additionalProperties: false,
      properties: {
        email: { type: 'string', maxLength: 320 },
        amount_cents: { type: 'integer', minimum: 1, maximum: 1_000_000 },
        currency: { enum: ['EUR', 'USD'] },
      },
    },
  },
};

app.post('/buy', buy, async (request, reply) => {
  const { amount_cents, currency = 'EUR' } = request.body;
  const { sub, jti } = request.user;
  // A client that lost our answer asks again with the same key, and must not pay twice.
  const key = JSON.stringify([sub, request.headers['idempotency-key'] ?? jti]);
  const purchase = purchases.get(key) ?? { receipt: randomUUID(), sub, amount_cents, currency };
  if (purchase.amount_cents !== amount_cents || purchase.currency !== currency) return keyReused(reply);
  purchases.set(key, purchase);
  return toReceipt(purchase);
});

// Asks Doorward each time, so that a sign-out counts at once.
app.get('/receipts', { config: { door: 'checked' } }, async (request) => ({
  receipts: [...purchases.values()].filter(({ sub }) => sub === request.user.sub).map(toReceipt),
}));

// Checked offline while the revocations that are known here are at most five seconds old; otherwise it asks Doorward.
app.get('/total', { config: { door: { door: 'verified', maxRevocationLag: 5 } } }, async (request) => ({
  amount_cents: [...purchases.values()]
    .filter(({ sub }) => sub === request.user.sub)
    .reduce((sum, { amount_cents }) => sum + amount_cents, 0),
}));

function toReceipt({ receipt, amount_cents, currency }) {
  return { receipt, amount_cents, currency };
}

function keyReused(reply) {
  const title = 'This Idempotency-Key was for another purchase';
  const problem = { type: 'urn:example-payments:key_reused', title, status: 422, code: 'key_reused' };
  return reply.code(422).type('application/problem+json').send(problem);
}

function readSecret() {
  const { CLIENT_SECRET, CLIENT_SECRET_FILE } = process.env;
  return CLIENT_SECRET_FILE ? readFileSync(CLIENT_SECRET_FILE, 'utf8').trim() : CLIENT_SECRET;
}

// Running requests are answered, then the process ends by itself.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close());

await app.listen({ host: HOST, port: Number(PORT) });
