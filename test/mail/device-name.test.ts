import fc from 'fast-check';
import { test } from 'tap';
import { deviceName } from '../../src/mail/device-name.ts';

test('names the browsers and systems that people use', (t) => {
  const like = 'Mozilla/5.0';
  const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)';
  const cases: [userAgent: string, browser: string | null, system: string | null][] = [
    [`${like} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0`, 'Firefox', 'Linux'],
    [`${like} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/141.0.0.0 Safari/537.36`, 'Chrome', 'Windows'],
    [
      `${like} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0`,
      'Edge',
      'Windows',
    ],
    [
      `${like} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15`,
      'Safari',
      'macOS',
    ],
    [
      `${like} (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1`,
      'Safari',
      'iPhone',
    ],
    [
      `${like} (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0 Mobile/15E148 Safari/604.1`,
      'Chrome',
      'iPad',
    ],
    [
      `${like} (Linux; Android 10; K) ${webkit} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`,
      'Samsung Internet',
      'Android',
    ],
    [`${like} (Linux; Android 10; K) ${webkit} Chrome/141.0.0.0 Mobile Safari/537.36`, 'Chrome', 'Android'],
    [`${like} (X11; CrOS x86_64 14541.0.0) ${webkit} Chrome/141.0.0.0 Safari/537.36`, 'Chrome', 'ChromeOS'],
    [
      `${like} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/141.0.0.0 Safari/537.36 OPR/125.0.0.0`,
      'Opera',
      'Windows',
    ],
    ['curl/8.14.1', null, null],
    ['', null, null],
  ];
  for (const [userAgent, browser, system] of cases)
    t.strictSame(deviceName(userAgent), { browser, system }, userAgent);
  t.strictSame(deviceName(null), { browser: null, system: null });
  t.end();
});

test('never repeats what a client says of itself', (t) => {
  const names = ['Edge', 'Opera', 'Samsung Internet', 'Firefox', 'Chrome', 'Safari'];
  const systems = ['iPhone', 'iPad', 'Android', 'ChromeOS', 'Windows', 'macOS', 'Linux'];
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('Firefox/', 'Windows', 'iPhone', 'Version/1 Safari/'),
  );
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const { browser, system } = deviceName(words.join(' '));
      return (browser === null || names.includes(browser)) && (system === null || systems.includes(system));
    }),
  );
  t.end();
});
