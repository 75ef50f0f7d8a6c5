import fc from 'fast-check';
import t from 'tap';
import { prefersHtml } from '../../src/http/accept-header.ts';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';

const html = [
  BROWSER,
  'text/html',
  'TEXT/HTML ; charset=utf-8',
  'text/*',
  'text/html, */*',
  'text/html, application/json;q=0.9',
  'application/json;q=0.5, text/html;q=0.6',
  '*/*, application/json;q=0.1',
];
t.test('a client that prefers HTML gets it', async (t) => {
  for (const accept of html) t.ok(prefersHtml(accept), accept);
});

const json = [
  undefined,
  '',
  '*/*',
  'application/json',
  'application/*',
  'application/json, text/html',
  'text/html, application/json',
  'application/json, text/html;q=0.9',
  'text/html;q=0',
  'text/html;q=0, text/*',
  'text/html;q=nothing, */*',
  'image/png',
  'text/htmlx',
];
t.test('everyone else gets JSON', async (t) => {
  for (const accept of json) t.notOk(prefersHtml(accept), String(accept));
});

t.test('the order of ranges does not matter', async () => {
  const types = fc.constantFrom(
    'text/html',
    'text/*',
    '*/*',
    'application/json',
    'application/*',
    'image/png',
  );
  const weights = fc.constantFrom('', ';q=0', ';q=0.3', ';q=0.8', ';q=1');
  const headers = fc.uniqueArray(fc.tuple(types, weights), { selector: ([type]) => type });
  const property = fc.property(headers, (ranges) => {
    const accept = ranges.map((range) => range.join(''));
    return prefersHtml(accept.join()) === prefersHtml(accept.toReversed().join(' , '));
  });
  fc.assert(property);
});

t.test('no header can make it fail', async () => {
  fc.assert(fc.property(fc.string(), (accept) => typeof prefersHtml(accept) === 'boolean'));
});
