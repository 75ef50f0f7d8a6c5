/**
 * Makes an element. Text is always text: nothing that a user or a service wrote is ever read as HTML.
 * @param {string} tag name, and classes after dots: `p.hint`
 * @param {Record<string, unknown>} properties attributes; `on…` are listeners, null and false leave an attribute out
 * @param {(Node | string | null)[]} children
 */
export function element(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length > 0) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The heading of a page: where the focus goes when the page changes. */
export function heading(text, lead) {
  return element(
    'header.heading',
    {},
    element('h1', { tabindex: '-1' }, text),
    lead ? element('p.lead', {}, lead) : null,
  );
}

const DOORS = { open: 'Open door', verified: 'Verified door', once: 'One-time door' };

/** Explains which kind of door is behind a part of the page. */
export function door(kind, meaning) {
  return element('p.door', { 'data-door': kind }, element('strong', {}, DOORS[kind]), ` ${meaning}`);
}

/** Shows a message, which screen readers also read aloud. */
export function announce(text) {
  document.getElementById('status').textContent = text;
}

/** `1 item`, `2 items` */
export function plural(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** @param {number} cents */
export function money(cents) {
  return new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' }).format(cents / 100);
}

/** @param {string | Date} instant */
export function when(instant) {
  return new Date(instant).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}

/**
 * Runs the action of a button, once at a time, and shows an error instead of throwing it.
 * The button stays focusable: with a disabled one, a user of the keyboard would lose the focus.
 */
export function action(button, run) {
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    try {
      await run();
    } catch (error) {
      announce(sentence(error));
    } finally {
      button.removeAttribute('aria-disabled');
    }
  });
  return button;
}

/**
 * A button that asks once more, in its own place, before it does what cannot be undone.
 * @param {{label: string, question: string, yes: string}} words
 * @param {() => Promise<void>} run
 * @param {Node[]} inputs what it asks for beside the answer
 */
export function confirmed({ label, question, yes: verb }, run, ...inputs) {
  const button = element('button.danger', { type: 'button' }, label);
  const yes = action(element('button.danger', { type: 'button' }, verb), run);
  const no = element('button', { type: 'button', onclick: back }, 'No');
  const place = element('div', {}, button);
  const asked = element(
    'div.confirm',
    { role: 'group', 'aria-label': question },
    element('p', {}, question),
    ...inputs,
    yes,
    no,
  );
  button.addEventListener('click', () => {
    place.replaceChildren(asked);
    // On the harmless answer, for those who press Enter twice.
    no.focus();
  });
  asked.addEventListener('keydown', ({ key }) => key === 'Escape' && back());
  return place;

  function back() {
    place.replaceChildren(button);
    button.focus();
  }
}

/** What to tell the user about an error. */
export function sentence(error) {
  if (error.code === 'rate_limited')
    return `Too many tries. Wait ${error.retryAfterSeconds || 60} seconds, please.`;
  if (error.code === 'reauthentication_required')
    return 'Enter your password, please: you signed in some time ago.';
  if (error.code === 'token_revoked') return 'Your session was ended elsewhere. Sign in again, please.';
  if (error.code === 'unavailable' || error instanceof TypeError)
    return 'The club cannot be reached right now. Try again in a moment, please.';
  return /[.!?]$/.test(error.message) ? error.message : `${error.message}.`;
}
