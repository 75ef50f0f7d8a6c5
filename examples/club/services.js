import { createAuth } from '/doorward-browser/index.js';

/**
 * The page's only auth object. It holds the access token, which no other script can reach, and which is for the shop
 * alone: payments refuses it.
 */
export const auth = createAuth({ url: '/auth', audience: 'shop' });

/** An open door: everyone may look. */
export async function listCatalogue() {
  return (await read(await fetch('/shop/catalogue'))).items;
}

/** What the shop has counted. Open in this demo, so that the panel can show it; a real shop tells its monitoring. */
export async function countsOfShop() {
  return read(await fetch('/shop/counts'));
}

/** A verified door: `auth.fetch` brings the access token along. */
export async function listCart() {
  return (await read(await auth.fetch('/shop/cart'))).items;
}

/** @returns what is in the cart now */
export async function addToCart(id) {
  return (await read(await auth.fetch('/shop/cart', { method: 'POST', ...json({ item: id }) }))).items;
}

export async function removeFromCart(id) {
  const response = await auth.fetch(`/shop/cart/${encodeURIComponent(id)}`, { method: 'DELETE' });
  // 404: another tab has already removed it.
  if (response.status !== 404) await read(response);
}

/** @returns what was paid. Throws the refusal. */
export async function buy(purchase) {
  return read(await sendPurchase(purchase));
}

/**
 * A one-time door: `token` comes from `auth.singleUseToken('payments')`. While the result is unknown, keep `key` and
 * send it again with a fresh token: then it is the same purchase, which is not made twice.
 * @returns {Promise<Response>} with `{receipt, amount_cents}` if it is paid
 */
export function sendPurchase({ token, key, body }) {
  const request = json(body);
  Object.assign(request.headers, { authorization: `Bearer ${token}`, 'idempotency-key': key });
  return auth.fetch('/payments/buy', { method: 'POST', ...request });
}

function json(body) {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

/** The answer of a service. Throws the service's error. */
async function read(response) {
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  // By now `auth.fetch` has asked whether there is another token, and the page is signed out if there is none.
  if (answer?.code === 'token_revoked') document.dispatchEvent(new CustomEvent('club:revoked'));
  const error = new Error(answer?.detail ?? answer?.title ?? `The service answered ${response.status}`);
  throw Object.assign(error, {
    status: response.status,
    code: response.status >= 500 ? 'unavailable' : answer?.code,
  });
}
