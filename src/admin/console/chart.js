import { h, svg } from './dom.js';

const WIDTH = 240;
const HEIGHT = 60;

/**
 * Counts by hour as bars. The same numbers are in a table elsewhere, so that nobody has to see the picture.
 * @param {string} title
 * @param {{ hour: string, count: number }[]} hours oldest first
 * @param {'good' | 'bad'} kind
 */
export function barChart(title, hours, kind) {
  const most = Math.max(0, ...hours.map(({ count }) => count));
  const sum = hours.reduce((total, { count }) => total + count, 0);
  const step = WIDTH / Math.max(1, hours.length);
  const bars = hours.map(({ hour, count }, index) => {
    // A bar of one among thousands must still be seen.
    const height = count === 0 ? 1 : Math.max(3, (count / most) * HEIGHT);
    const place = { x: index * step + 1, y: HEIGHT - height, width: Math.max(1, step - 2), height, rx: 1 };
    const shape = svg('rect', { class: count === 0 ? 'none' : kind, ...place });
    shape.append(svg('title', {}, `${clock(hour)}: ${count}`));
    return shape;
  });
  const label = `${title}: ${sum} in the last ${hours.length} hours, at most ${most} in one`;
  return h(
    'figure',
    { class: 'chart' },
    h('figcaption', {}, h('span', {}, title), ' ', h('strong', {}, sum)),
    svg(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
      ...bars,
    ),
    h(
      'p',
      { class: 'axis', 'aria-hidden': 'true' },
      h('span', {}, hours[0] ? clock(hours[0].hour) : ''),
      h('span', {}, 'now'),
    ),
  );
}

/** @param {string} instant */
export function clock(instant) {
  return new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' }).format(new Date(instant));
}
