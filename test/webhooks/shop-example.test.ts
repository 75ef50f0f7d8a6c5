import Fastify from 'fastify';
import t from 'tap';
import { buildEmbedded, signUp } from '../helper.ts';
import { newWebhookSecret } from '../support/webhook-catcher.ts';

t.setTimeout(120_000);

/** By its path, because it is JavaScript without types. */
const EXAMPLE = new URL('../../examples/shop/webhooks.js', import.meta.url).href;

t.test('the shop learns that an account is gone, and believes nobody else', async (t) => {
  const { webhooks } = await import(EXAMPLE);
  const secret = newWebhookSecret();
  const deleted = Promise.withResolvers<string>();
  const shop = Fastify();
  const take = ({ type, data }: { type: string; data: { user: { id: string } } }) => {
    if (type === 'user.deleted') deleted.resolve(data.user.id);
  };
  await shop.register(webhooks, { secret, take });
  t.teardown(() => shop.close());
  const url = `${await shop.listen({ port: 0, host: '127.0.0.1' })}/webhooks`;

  const { app } = await buildEmbedded(t, { EVENTS_WEBHOOK_URL: url, EVENTS_WEBHOOK_SECRET: secret });
  const { user, password, cookie } = await signUp(app);
  await app.inject({ method: 'DELETE', url: '/me', headers: { cookie }, payload: { password } });
  t.equal(await deleted.promise, user.id);

  const forged = { type: 'user.deleted', data: { user: { id: 'ada' } } };
  const headers = { 'webhook-id': 'one', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)) };
  for (const signature of [{}, { 'webhook-signature': 'v1,AAAA' }]) {
    const response = await shop.inject({
      ...{ method: 'POST', url: '/webhooks', payload: forged },
      headers: { ...headers, ...signature },
    });
    t.equal(response.statusCode, 401);
  }
});
