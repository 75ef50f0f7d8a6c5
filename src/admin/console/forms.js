import { h } from './dom.js';

/**
 * @typedef {object} FieldOptions
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {string} [type]
 * @property {string} [value]
 * @property {boolean} [required]
 * @property {string} [autocomplete]
 * @property {number} [maxlength]
 * @property {[value: string, label: string][]} [choices] makes it a list to choose from
 * @property {Record<string, string>} [more] attributes of the input
 */

let made = 0;

/** A label, a hint and an input, tied together. @param {FieldOptions} options */
export function field({ name, label, hint, choices, more = {}, ...attributes }) {
  made += 1;
  const id = `field-${made}`;
  const described = hint ? { 'aria-describedby': `${id}-hint` } : {};
  const shared = { id, name, ...described, ...more };
  const { value = '', ...others } = attributes;
  const control = choices ? select(shared, choices, value) : h('input', { ...shared, value, ...others });
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null,
    control,
  );
}

/** @param {Record<string, string>} attributes @param {[string, string][]} choices @param {string} value */
function select(attributes, choices, value) {
  const options = choices.map(([choice, label]) =>
    h('option', { value: choice, selected: choice === value }, label),
  );
  return h('select', attributes, ...options);
}

/** A box to tick, with its label beside it. @param {{ name: string, label: string, value?: string, checked?: boolean }} options */
export function tick({ name, label, value = 'yes', checked = false }) {
  return h('label', { class: 'tick' }, h('input', { type: 'checkbox', name, value, checked }), ` ${label}`);
}

/** @param {HTMLFormElement} form @returns {Record<string, string>} */
export function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
}

/** What is written between spaces or commas. @param {string | undefined} text */
export function wordsOf(text = '') {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

/** The instant of an input of type `datetime-local` or `date`, in the browser's time zone. @param {string | undefined} text */
export function instantOf(text) {
  if (!text) return undefined;
  // A date alone would be midnight in UTC.
  return new Date(text.includes('T') ? text : `${text}T00:00`).toISOString();
}
