import { createVerifier } from '@doorward/verifier';
import { doorwardFastify } from '@doorward/verifier/fastify';
import Fastify from 'fastify';
import { webhooks } from './webhooks.js';

const { PORT = '4001', HOST = '127.0.0.1', AUDIENCE = 'shop', WEBHOOK_SECRET } = process.env;
/** `iss` of the tokens: exactly PUBLIC_URL of Doorward. */
const issuer = process.env.DOORWARD_URL ?? 'http://localhost:3000';
/** The URL of the same server for this service, if it is different, such as in a private network. */
const internal = process.env.DOORWARD_INTERNAL_URL;

const CATALOGUE = [
  { id: 'lamp', name: 'Reading lamp', description: 'Warm light, one switch.', price_cents: 4900 },
  { id: 'notebook', name: 'Notebook', description: 'Two hundred blank pages.', price_cents: 1250 },
  { id: 'mug', name: 'Enamel mug', description: 'Survives the picnic.', price_cents: 1600 },
  { id: 'key', name: 'Brass key', description: 'Opens nothing. Looks good.', price_cents: 800 },
];

/** By user id, item id -> quantity. A real shop keeps this in its database. */
const carts = new Map();

const app = Fastify({
  logger: { level: process.env.LOG_LEVEL ?? 'info' },
  // A wrong type is refused, never guessed at.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
});

/** What the page of the demo shows. A real shop keeps such numbers for its monitoring. */
const counts = { checked_offline: 0, asked: 0, refused_as_revoked: 0, revocations_heard: 0 };

const verifier = createVerifier({
  issuer,
  audience: AUDIENCE,
  logger: app.log,
  ...(internal && { jwksUri: `${internal}/.well-known/jwks.json`, allowInsecure: true }),
  on: {
    verified: (outcome) => {
      counts.checked_offline += 1;
      if (outcome === 'token_revoked') counts.refused_as_revoked += 1;
    },
    introspected: () => {
      counts.asked += 1;
    },
    revocationsReceived: (entries) => {
      counts.revocations_heard += entries;
    },
  },
});
app.addHook('onClose', () => verifier.close());

// Before the routes: from here on a route that declares no door is `verified`.
await app.register(doorwardFastify, { realm: 'shop', verifier });

app.get('/health', { config: { door: 'open' }, logLevel: 'warn' }, async () => ({ status: 'ok' }));

// `lag_ms` is null, for Infinity, before the first revocations have come.
app.get('/counts', { config: { door: 'open' }, logLevel: 'warn' }, async () => ({
  ...counts,
  lag_ms: Math.round(verifier.revocationLag()),
}));

app.get('/catalogue', { config: { door: 'open' } }, async () => ({ items: CATALOGUE }));

app.get('/cart', { config: { door: 'verified' } }, async (request) => cartOf(request.user));

const addItem = {
  config: { door: 'verified' },
  schema: {
    body: {
      type: 'object',
      required: ['item'],
      additionalProperties: false,
      properties: { item: { type: 'string', maxLength: 100 } },
    },
  },
};

app.post('/cart', addItem, async (request, reply) => {
  const { item } = request.body;
  if (!CATALOGUE.some(({ id }) => id === item)) return noSuchItem(reply);
  const cart = carts.get(request.user.sub) ?? new Map();
  carts.set(request.user.sub, cart.set(item, (cart.get(item) ?? 0) + 1));
  return cartOf(request.user);
});

app.delete('/cart/:id', { config: { door: 'verified' } }, async (request, reply) => {
  if (!carts.get(request.user.sub)?.delete(request.params.id)) return noSuchItem(reply);
  return cartOf(request.user);
});

// What Doorward tells of users, if it was told this URL: EVENTS_WEBHOOK_URL.
if (WEBHOOK_SECRET) await app.register(webhooks, { secret: WEBHOOK_SECRET, take: purge });

/** Nothing is kept of an account that is gone. */
function purge({ type, data }) {
  if (type === 'user.deleted') carts.delete(data.user.id);
}

/** Kept by `sub`, which never changes; e-mail addresses do. */
function cartOf({ sub }) {
  const items = CATALOGUE.flatMap(({ id, name, price_cents }) => {
    const quantity = carts.get(sub)?.get(id) ?? 0;
    return quantity > 0 ? [{ id, name, price_cents, quantity }] : [];
  });
  const total_cents = items.reduce((sum, { price_cents, quantity }) => sum + price_cents * quantity, 0);
  return { items, total_cents };
}

function noSuchItem(reply) {
  const problem = { type: 'urn:example-shop:no_such_item', title: 'There is no such item', status: 404 };
  return reply
    .code(404)
    .type('application/problem+json')
    .send({ ...problem, code: 'no_such_item' });
}

// Running requests are answered, then the process ends by itself.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close());

await app.listen({ host: HOST, port: Number(PORT) });
