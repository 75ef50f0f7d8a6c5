import { load } from '../basket.js';
import { action, announce, door, element, heading, money, sentence } from '../dom.js';
import { auth, buy, removeFromCart } from '../services.js';
import { keepReceipt, numberOf, receipt } from './receipt.js';

/** A purchase that was sent and has no answer. In memory, like everything else. */
let pending = null;

/** What the user wants to have. The shop checks the access token on its own. */
export async function cart({ refresh }) {
  const items = await load();
  const total = items.reduce((sum, { price_cents, quantity }) => sum + price_cents * quantity, 0);
  return element(
    'div',
    {},
    heading('Your cart'),
    door('verified', 'The shop checks your access token here, without asking anybody.'),
    receipt(),
    ...(items.length === 0 ? nothing() : [list(items, total, refresh), checkout(items, total, refresh)]),
  );
}

function nothing() {
  return [element('p.empty', {}, 'Your cart is empty. ', element('a', { href: '/' }, 'Have a look around'))];
}

function list(items, total, refresh) {
  const cell = (...children) => element('td', {}, ...children);
  const head = (text, properties = {}) => element('th', { scope: 'col', ...properties }, text);
  const row = ({ id, name, price_cents, quantity }) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, name),
      cell(String(quantity)),
      cell(money(price_cents * quantity)),
      cell(removeButton(id, name, refresh)),
    );
  const table = element(
    'table.cart',
    {},
    element('caption.unseen', {}, 'Your cart'),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        head('Item'),
        head('Quantity'),
        head('Price'),
        head(element('span.unseen', {}, 'Remove')),
      ),
    ),
    element('tbody', {}, ...items.map(row)),
    element(
      'tfoot',
      {},
      element('tr', {}, element('th', { scope: 'row', colspan: '2' }, 'Total'), cell(money(total)), cell()),
    ),
  );
  return element('div.scrolls', {}, table);
}

function removeButton(id, name, refresh) {
  const button = element('button.quiet', { type: 'button', 'aria-label': `Remove: ${name}` }, 'Remove');
  return action(button, async () => {
    await removeFromCart(id);
    await refresh();
    announce(`${name} is no longer in your cart.`);
  });
}

function checkout(items, total, refresh) {
  const button = element('button.primary', { type: 'button' }, `Buy for ${money(total)}`);
  action(button, async () => {
    const paid = { ...(await pay(total)), items };
    keepReceipt(paid);
    // What is paid is paid, even if the shop cannot empty the cart right now.
    await Promise.allSettled(items.map(({ id }) => removeFromCart(id)));
    await refresh();
    document.getElementById('receipt-title')?.focus();
    announce(`Thank you. You paid ${money(paid.amount_cents)}. Receipt ${numberOf(paid)}.`);
  });
  return element(
    'section.checkout',
    { 'aria-labelledby': 'checkout-title' },
    element('h2', { id: 'checkout-title' }, 'Pay'),
    door('once', 'Payments takes a token of one minute that opens one time.'),
    element('p', {}, 'Nobody can use it twice: not you with a second click, and not an eavesdropper.'),
    button,
  );
}

async function pay(amount_cents) {
  const { email } = auth.getSnapshot().user;
  if (pending?.body.amount_cents !== amount_cents || pending.body.email !== email) pending = null;
  const token = await auth.singleUseToken('payments');
  pending ??= { key: crypto.randomUUID(), body: { email, amount_cents } };
  document.dispatchEvent(new CustomEvent('club:minted'));
  try {
    const { body } = pending;
    const paid = await buy({ token, ...pending });
    pending = null;
    document.dispatchEvent(new CustomEvent('club:spent'));
    return { ...paid, token, body };
  } catch (error) {
    // After a refusal the next try is another purchase. Without an answer it is the same one.
    const isRefused = error.status >= 400 && error.status < 500;
    if (isRefused) pending = null;
    throw new Error(isRefused ? `Nothing was bought. ${sentence(error)}` : UNSURE);
  }
}

const UNSURE = 'There was no answer. Press the button again, please: you cannot pay twice for it.';
