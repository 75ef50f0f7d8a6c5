import { h } from './dom.js';

/** @typedef {import('./dom.js').Child} Child */

/**
 * @template Row
 * @typedef {{ name: string, show: (row: Row) => Child | Child[] }} Column
 */

/**
 * A table. On a phone each row is a card, so each cell has the name of its column; the roles say that it still is a table.
 * @template Row
 * @param {string} label
 * @param {Column<Row>[]} columns
 * @param {Row[]} rows
 */
export function table(label, columns, rows) {
  const head = columns.map(({ name }) => h('th', { role: 'columnheader', scope: 'col' }, name));
  return h(
    'table',
    { role: 'table', 'aria-label': label },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...head)),
    h('tbody', { role: 'rowgroup' }, ...rows.map((row) => line(columns, row))),
  );
}

/** @template Row @param {Column<Row>[]} columns @param {Row} row */
function line(columns, row) {
  const cells = columns.map(({ name, show }) =>
    h('td', { role: 'cell', 'data-name': name }, ...[show(row)].flat()),
  );
  return h('tr', { role: 'row', tabindex: '-1' }, ...cells);
}

const MOST_EMPTY_PAGES = 20;

/**
 * A table whose rows are read page by page.
 * @template Row
 * @param {object} parts
 * @param {string} parts.label
 * @param {Column<Row>[]} parts.columns
 * @param {string} parts.empty what to say when there are none
 * @param {(after: string | null) => Promise<{ rows: Row[], next: string | null }>} parts.read
 * @param {(text: string) => void} parts.announce
 */
export function createList({ label, columns, empty, read, announce }) {
  const element = h('div', { class: 'list' });
  /** Counts the readings: an answer to one before the last is ignored. */
  let reading = 0;
  return { element, load };

  /** Reads the first page. @throws CallError */
  async function load() {
    reading += 1;
    const mine = reading;
    element.setAttribute('aria-busy', 'true');
    try {
      const { rows, next } = await readSome(null);
      if (mine === reading) showFirst(rows, next);
      return rows.length;
    } finally {
      element.removeAttribute('aria-busy');
    }
  }

  /** A page may be empty although the list goes on: the server looks at a bounded number of rows each time. @param {string | null} after */
  async function readSome(after) {
    for (let tries = 1; ; tries += 1) {
      const page = await read(after);
      if (page.rows.length > 0 || page.next === null || tries === MOST_EMPTY_PAGES) return page;
      after = page.next;
    }
  }

  /** @param {Row[]} rows @param {string | null} next */
  function showFirst(rows, next) {
    if (rows.length === 0 && next === null) return element.replaceChildren(h('p', { class: 'soft' }, empty));
    const shown = table(label, columns, rows);
    element.replaceChildren(shown, ...more(shown, next));
  }

  /** @param {HTMLTableElement} shown @param {string | null} next */
  function more(shown, next) {
    if (next === null) return [];
    const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
    const button = h('button', { class: 'more', onclick: add }, 'Show more');
    return [problem, button];

    async function add() {
      if (element.hasAttribute('aria-busy')) return;
      element.setAttribute('aria-busy', 'true');
      problem.hidden = true;
      try {
        const page = await readSome(next);
        const lines = page.rows.map((row) => line(columns, row));
        shown.tBodies[0]?.append(...lines);
        button.replaceWith(...more(shown, page.next));
        problem.remove();
        announce(`${lines.length} more`);
        lines[0]?.focus();
      } catch (error) {
        problem.textContent = /** @type {Error} */ (error).message;
        problem.hidden = false;
      } finally {
        element.removeAttribute('aria-busy');
      }
    }
  }
}
