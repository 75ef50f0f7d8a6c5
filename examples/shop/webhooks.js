import { createHmac, timingSafeEqual } from 'node:crypto';

/** A message that was recorded and is sent again later must not count. */
const TOLERANCE_SECONDS = 300;

/**
 * `POST /webhooks`: what Doorward tells of users, as Standard Webhooks.
 * @param options.secret EVENTS_WEBHOOK_SECRET of Doorward
 * @param options.take called with each message; the same one may come again
 */
export async function webhooks(app, { secret, take }) {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');

  // The signature is over the bytes as they came.
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );

  // Open: whoever sends has no token, but signs.
  app.post('/webhooks', { config: { door: 'open' } }, async ({ headers, body }, reply) => {
    if (!isRecent(headers) || !isSigned(headers, body, key)) return reply.code(401).send();
    await take(JSON.parse(body));
    return reply.code(204).send();
  });
}

function isRecent({ 'webhook-timestamp': time }) {
  return Math.abs(Date.now() / 1000 - Number(time)) <= TOLERANCE_SECONDS;
}

/** There are two signatures while one secret replaces the other. */
function isSigned({ 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': all = '' }, body, key) {
  const expected = createHmac('sha256', key)
    .update(`${id}.${time}.`)
    .update(body ?? '')
    .digest();
  return all.split(' ').some((signature) => {
    const given = Buffer.from(signature.replace('v1,', ''), 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}
