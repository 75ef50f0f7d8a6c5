import { createAuth } from '/doorward-browser/index.js';

/** The page's one auth object. Its access token is in there, out of reach. */
export const auth = createAuth({ url: '/auth' });

/** An open door: everyone may look. */
export async function listCatalogue() {
  return (await read(await fetch('/shop/catalogue'))).items;
}

/** A verified door: `auth.fetch` brings the access token along. */
export async function listCart() {
  return (await read(await auth.fetch('/shop/cart'))).items;
}

export async function addToCart(id) {
  await read(await auth.fetch('/shop/cart', { method: 'POST', ...json({ item: id }) }));
}

export async function removeFromCart(id) {
  const response = await auth.fetch(`/shop/cart/${encodeURIComponent(id)}`, { method: 'DELETE' });
  // Another tab was quicker.
  if (response.status !== 404) await read(response);
}

/**
 * A one-time door: `token` comes from `auth.singleUseToken('payments')`. Keep `key` while the outcome is unknown and send
 * it again, with a fresh token: it is the same purchase, and is not made twice.
 * @returns {Promise<{receipt: string, amount_cents: number}>}
 */
export async function buy({ token, key, body }) {
  const request = json(body);
  Object.assign(request.headers, { authorization: `Bearer ${token}`, 'idempotency-key': key });
  return read(await auth.fetch('/payments/buy', { method: 'POST', ...request }));
}

function json(body) {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

/** The answer of a service; throws what the service says is wrong. */
async function read(response) {
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  const error = new Error(answer?.detail ?? answer?.title ?? `The service answered ${response.status}`);
  throw Object.assign(error, {
    status: response.status,
    code: response.status >= 500 ? 'unavailable' : answer?.code,
  });
}
