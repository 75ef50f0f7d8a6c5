import { add } from '../basket.js';
import { action, announce, door, element, heading, money, plural } from '../dom.js';
import { auth, listCatalogue } from '../services.js';

/** Button -> the timer that ends its "Added". */
const resets = new WeakMap();

/** Everything that the club sells. Open to everyone; only the cart needs a signed-in user. */
export async function catalogue() {
  const items = await listCatalogue();
  return element(
    'div',
    {},
    heading('Things from the club', 'Come in and look around. You need no account for that.'),
    door('open', 'The shop lets everyone in here.'),
    element('ul.cards', {}, ...items.map(card)),
  );
}

function card({ id, name, description, price_cents }, index) {
  const button = element('button.add', { type: 'button' });
  label(button, 'Add to cart', name);
  return element(
    'li.card',
    { 'data-cover': String(index % 4) },
    element('div.cover', { 'aria-hidden': 'true' }),
    element('h2', {}, name),
    element('p', {}, description),
    element(
      'div.row',
      {},
      element('strong.price', {}, money(price_cents)),
      action(button, () => addTo(button, id, name)),
    ),
  );
}

async function addTo(button, id, name) {
  const count = await add(id);
  const isGuest = auth.getSnapshot().status === 'signed-out';
  announce(
    isGuest
      ? `${name} waits for you. Sign in, and you find it in your cart.`
      : `${name} is in your cart. You have ${plural(count, 'item')} there.`,
  );
  label(button, 'Added', name);
  clearTimeout(resets.get(button));
  resets.set(
    button,
    setTimeout(() => label(button, 'Add to cart', name), 2_000),
  );
}

/** What is seen is where the name for screen readers begins: people who speak to the computer say what they see. */
function label(button, text, name) {
  button.textContent = text;
  button.setAttribute('aria-label', `${text}: ${name}`);
}
