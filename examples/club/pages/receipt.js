import { action, announce, element, money, when } from '../dom.js';
import { auth, sendPurchase } from '../services.js';

/**
 * The last purchase, for its receipt. It still has its token, which opens nothing any more: this page shows that. A
 * page that does not show it keeps no token that it has used.
 */
let last = null;

/** @param purchase `{ receipt, amount_cents, items, token, body }`, as it was paid a moment ago */
export function keepReceipt(purchase) {
  last = { ...purchase, userId: auth.getSnapshot().user.id, paidAt: new Date() };
}

/** The receipt of the last purchase of this user, and a second try with its token. @returns null without one */
export function receipt() {
  if (last === null || last.userId !== auth.getSnapshot().user?.id) return null;
  const { amount_cents, items, paidAt } = last;
  const fact = (name, ...values) => [
    element('dt', {}, name),
    ...values.map((value) => element('dd', {}, value)),
  ];
  return element(
    'section.receipt',
    { 'aria-labelledby': 'receipt-title' },
    element('h2', { id: 'receipt-title', tabindex: '-1' }, `You paid ${money(amount_cents)}`),
    element(
      'dl.facts',
      {},
      ...fact('Receipt', numberOf(last)),
      ...fact('Bought', ...items.map(({ quantity, name }) => `${quantity} × ${name}`)),
      ...fact('On', when(paidAt)),
    ),
    secondTry(last),
  );
}

/** Short enough to read out on the telephone. The whole one stays at payments. */
export function numberOf({ receipt: id }) {
  return `${id.slice(0, 4)}-${id.slice(4, 8)}`.toUpperCase();
}

function secondTry(purchase) {
  const exchange = element('div.exchange', {});
  const button = element('button.danger', { type: 'button' }, 'Use the spent token again');
  action(button, async () => {
    // A new key makes it another purchase, as a thief would want. With the old key it would be the same one once more.
    const request = { token: purchase.token, key: crypto.randomUUID(), body: purchase.body };
    const response = await sendPurchase(request);
    if (response.status >= 500) throw new TypeError('Payments cannot be reached');
    const answer = await response.json();
    exchange.replaceChildren(sent(request), cameBack(response, answer), why(answer));
    exchange.scrollIntoView({ block: 'nearest' });
    // It has the focus, and on a phone there is no room for both.
    button.scrollIntoView({ block: 'nearest' });
    document.dispatchEvent(new CustomEvent('club:refused'));
    announce(`Payments answered ${response.status}: ${answer.title}.`);
  });
  return element(
    'div.again',
    {},
    element('h3', {}, 'Can this token pay a second time?'),
    element('p', {}, 'Imagine that a thief has read it on its way, and sends it for another purchase.'),
    button,
    exchange,
  );
}

function sent({ token, key, body }) {
  return part(
    'Sent',
    `POST /payments/buy
Authorization: Bearer ${shorten(token)}
Idempotency-Key: ${shorten(key)}

${JSON.stringify(body, null, 2)}`,
  );
}

function cameBack({ status, headers }, { title, code }) {
  const challenge = headers.get('www-authenticate');
  return part(
    'Came back',
    `HTTP ${status}
${challenge ? `WWW-Authenticate: ${challenge}\n` : ''}
${JSON.stringify({ code, title }, null, 2)}`,
    element('strong.refused', {}, `${status} ${status < 400 ? 'accepted' : 'refused'}`),
  );
}

function why({ code }) {
  return element(
    'div.why',
    {},
    element('h4', {}, 'Why'),
    element('p', {}, WHY[code] ?? 'Payments says no more than that.'),
  );
}

const WHY = {
  token_inactive:
    'The signature is right, and the minute is not over. But payments also asks Doorward, and Doorward lets each ' +
    'one-time token pass one time. Of two calls at the same moment, one is refused.',
  token_expired:
    'The minute of the token is over, so payments did not even ask Doorward. Buy something and press the button ' +
    'within a minute: then it is refused because it was used.',
};

function part(title, text, mark = null) {
  return element(
    'div',
    {},
    element('h4', {}, title, ' ', mark),
    element('pre', {}, element('code', {}, text)),
  );
}

/** Never the whole of a secret, not even of one that is spent. */
function shorten(secret) {
  return `${secret.slice(0, 8)}…${secret.slice(-4)}`;
}
