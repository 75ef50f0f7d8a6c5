import { addToCart, auth, listCart } from './services.js';

/**
 * The ids of what a guest wants to have: the sign-in moves them to the cart at the shop. They are no secret, so
 * sessionStorage would be safe too. Memory is enough, because signing in does not load this page again, and so the
 * panel can show that all storage is empty.
 */
let wanted = [];
let moving = null;
let owner = null;
const listeners = new Set();

auth.subscribe(({ status, user }) => {
  if (status === 'unknown') return;
  // The next user of this tab must not get what the last one wanted.
  if (owner !== null && owner !== user?.id) wanted = [];
  owner = user?.id ?? null;
  // Without an answer of the shop there is no count. The cart asks again when it is opened.
  if (user) load().catch(() => tell(0));
  else tell(wanted.length);
});

/** Calls back with the number of things in the cart, each time it is known anew. */
export function onCount(listener) {
  listeners.add(listener);
}

/** Puts one thing into the cart, or keeps it until the guest signs in. @returns how many things there are now */
export async function add(id) {
  if (auth.getSnapshot().status === 'signed-in') return count(await addToCart(id));
  wanted.push(id);
  tell(wanted.length);
  return wanted.length;
}

/** How many things wait for a sign-in. */
export function countWanted() {
  return wanted.length;
}

/** What is in the cart, with what the user wanted before the sign-in. */
export async function load() {
  moving ??= move().finally(() => {
    moving = null;
  });
  await moving;
  const items = await listCart();
  count(items);
  return items;
}

/** One after the other: what could not be moved waits for the next time. */
async function move() {
  while (wanted.length > 0) {
    await addToCart(wanted[0]).catch(ignoreMissing);
    wanted = wanted.slice(1);
  }
}

/** The shop may have stopped selling it since. */
function ignoreMissing(error) {
  if (error.status !== 404) throw error;
}

function count(items) {
  const number = items.reduce((sum, { quantity }) => sum + quantity, 0);
  tell(number);
  return number;
}

function tell(number) {
  for (const listener of listeners) listener(number);
}
