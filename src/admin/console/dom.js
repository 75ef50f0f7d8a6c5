/**
 * Elements for the console. What the server says goes in as text alone, never as markup: names and user agents come from
 * strangers.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {string | number | boolean | null | undefined | ((event: any) => unknown)} Value
 */

/**
 * An element. A property that is a function listens to the event of its name, such as `onclick`; all others are attributes.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, Value>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  setProperties(element, properties);
  append(element, children);
  return element;
}

/**
 * An element of a picture.
 * @param {string} name
 * @param {Record<string, Value>} [properties]
 * @param {...(Child | Child[])} children
 */
export function svg(name, properties = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  setProperties(element, properties);
  append(element, children);
  return element;
}

/** @param {Element} element @param {Record<string, Value>} properties */
function setProperties(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? '' : String(value));
  }
}

/** @param {Element} element @param {(Child | Child[])[]} children */
function append(element, children) {
  for (const child of children.flat())
    if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : String(child));
}

const IN_WORDS = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

/**
 * An instant in the time zone of the browser.
 * @param {string | null | undefined} instant RFC 3339
 */
export function time(instant) {
  if (!instant) return none();
  return h('time', { datetime: instant, title: instant }, IN_WORDS.format(new Date(instant)));
}

/** What is shown where there is nothing. */
export function none() {
  return h('span', { class: 'soft' }, '–');
}

/**
 * A name and what it says, for `facts`.
 * @typedef {[name: string, value: Child | Child[]]} Fact
 */

/** A list of names and values. @param {Fact[]} rows */
export function facts(rows) {
  return h(
    'dl',
    { class: 'facts' },
    ...rows.map(([name, value]) =>
      h(
        'div',
        {},
        h('dt', {}, name),
        h('dd', {}, ...[value === '' || value === null ? none() : value].flat()),
      ),
    ),
  );
}

/** A word in a frame, such as the status of a user. @param {string} word @param {'good' | 'bad' | 'plain'} [kind] */
export function badge(word, kind = 'plain') {
  return h('span', { class: `badge ${kind}` }, word);
}

/** @param {string} id */
export const userLink = (id) => `#/users/${encodeURIComponent(id)}`;

/** A part of a view, with a heading of its own. @param {string} title @param {...(Child | Child[])} children */
export function section(title, ...children) {
  const id = `part-${title.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`;
  return h('section', { class: 'card', 'aria-labelledby': id }, h('h2', { id }, title), ...children);
}

/** The heading of a view, which gets the focus when the view changes. @param {...Child} children */
export function heading(...children) {
  return h('h1', { tabindex: '-1' }, ...children);
}
