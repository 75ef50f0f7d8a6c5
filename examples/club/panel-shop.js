import { element } from './dom.js';
import { auth, countsOfShop } from './services.js';

/**
 * The part of the panel about the shop, which is not this page: what it has counted, and whether it refused this page's
 * token as revoked.
 * @returns {{ children: Node[], update: () => Promise<void> }}
 */
export function createShopPart() {
  const counts = element('dl.counts', {});
  const told = element('p.none', {}, NOT_REFUSED);
  let isAsking = false;

  document.addEventListener('club:revoked', () => {
    told.textContent = REFUSED;
  });
  auth.subscribe(({ status }) => {
    if (status === 'signed-in') told.textContent = NOT_REFUSED;
  });

  return { children: [counts, told], update };

  async function update() {
    if (isAsking) return;
    isAsking = true;
    const found = await countsOfShop().catch(() => null);
    isAsking = false;
    counts.replaceChildren(...(found ? rowsOf(found) : row('now', 'no answer')));
  }
}

const NOT_REFUSED = 'It refused no token of yours as revoked.';
const REFUSED =
  'It refused your token: your session was ended elsewhere. The shop had been told, and asked nobody.';

function rowsOf({ checked_offline, asked, refused_as_revoked, revocations_heard, lag_ms }) {
  return [
    ...row('tokens checked by itself', String(checked_offline)),
    ...row('questions to Doorward', String(asked)),
    ...row('revocations heard', String(revocations_heard)),
    ...row('tokens refused for one', String(refused_as_revoked)),
    ...row('what it knows is', lag_ms === null ? 'nothing yet' : `${(lag_ms / 1000).toFixed(1)} s old`),
  ];
}

function row(name, value) {
  return [element('dt', {}, name), element('dd', {}, value)];
}
