import fc from 'fast-check';
import { test } from 'tap';
import { durationText, instantText, pickLanguage } from '../../src/mail/mail-language.ts';

const LANGUAGES = ['en', 'de'];

test("takes the user's language, or the first that the browser asks for and that there is, else English", (t) => {
  const cases: [wanted: string | null, language: string, locale: string][] = [
    [null, 'en', 'en'],
    ['', 'en', 'en'],
    ['de', 'de', 'de'],
    ['DE-at', 'de', 'DE-at'],
    ['en-GB', 'en', 'en-GB'],
    ['fr', 'en', 'en'],
    ['fr-FR, de;q=0.8, en;q=0.9', 'en', 'en'],
    ['fr, de-CH;q=0.9, en;q=0.8', 'de', 'de-CH'],
    ['de;q=0, en', 'en', 'en'],
    ['de;q=x, en;q=0.1', 'en', 'en'],
    ['*', 'en', 'en'],
    ['de-u-nu-arab', 'en', 'en'],
    ['../de', 'en', 'en'],
  ];
  for (const [wanted, language, locale] of cases)
    t.strictSame(pickLanguage(wanted, LANGUAGES), { language, locale }, String(wanted));
  t.end();
});

test('whatever is asked for, there is a language for it, and dates can be written', (t) => {
  const wanted = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[a-z]{1,4}(-\w{1,4}){0,3}(;q=[\d.]{1,3})?$/),
  );
  fc.assert(
    fc.property(fc.array(wanted), (ranges) => {
      const { language, locale } = pickLanguage(ranges.join(','), LANGUAGES);
      return LANGUAGES.includes(language) && /^.+UTC$/.test(instantText(new Date(0), locale));
    }),
  );
  t.end();
});

test('names a time in the largest unit in which it is whole', (t) => {
  const minutes = (count: number) => durationText(count * 60_000, 'en');
  t.equal(minutes(10), '10 minutes');
  t.equal(minutes(1), '1 minute');
  t.equal(minutes(90), '90 minutes');
  t.equal(minutes(60), '1 hour');
  t.equal(minutes(24 * 60), '24 hours');
  t.equal(minutes(7 * 24 * 60), '7 days');
  t.equal(durationText(90_500, 'de'), '1 Minute');
  t.end();
});
