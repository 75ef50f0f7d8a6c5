import { action, announce, door, element, heading, money } from '../dom.js';
import { addToCart, auth, listCatalogue } from '../services.js';

/** Everything that the club sells. Open to everyone; only the cart needs a signed-in user. */
export async function catalogue({ go }) {
  const items = await listCatalogue();
  return element(
    'div',
    {},
    heading('Things from the club', 'Come in and look around. You need no account for that.'),
    door('open', 'The shop lets everyone in here.'),
    element('ul.cards', {}, ...items.map((item, index) => card(item, index, go))),
  );
}

function card({ id, name, description, price_cents }, index, go) {
  const button = element('button', { type: 'button', 'aria-label': `Add to cart: ${name}` }, 'Add to cart');
  return element(
    'li.card',
    { 'data-cover': String(index % 6) },
    element('div.cover', { 'aria-hidden': 'true' }),
    element('h2', {}, name),
    element('p', {}, description),
    element(
      'div.row',
      {},
      element('strong.price', {}, money(price_cents)),
      action(button, () => add(id, name, go)),
    ),
  );
}

async function add(id, name, go) {
  if (auth.getSnapshot().status === 'signed-out') {
    announce('Sign in first, please.');
    return go('/sign-in?next=/');
  }
  await addToCart(id);
  announce(`${name} is in your cart.`);
}
