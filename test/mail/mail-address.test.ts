import fc from 'fast-check';
import { test } from 'tap';
import { parseEmailAddress } from '../../src/accounts/email-address.ts';
import { composeMail } from '../../src/mail/compose-mail.ts';
import { isMailAddress, parseSender } from '../../src/mail/mail-address.ts';

const from = { name: 'Club', address: 'club@club.example' };
const content = { id: 'x', subject: 's', text: 't', html: 'h' };

test('takes one plain mailbox and nothing else', (t) => {
  const good = [
    'ada@example.com',
    "o'neil+tag@sub.example.co",
    'käthe@example.de',
    `${'a'.repeat(64)}@example.com`,
  ];
  const bad = [
    ...['', 'ada', '@example.com', 'ada@', 'a@b@example.com', 'ada@example.com ', 'a b@example.com'],
    ...['Ada <ada@example.com>', '<ada@example.com>', 'a@example.com,b@example.com', 'group:a@example.com;'],
    ...[
      '"a"@example.com',
      'a\\@example.com',
      'a@[192.0.2.1]',
      'a@example.com\r\nRCPT TO:<b@example.com>',
      'a\u0000@example.com',
    ],
    ...[
      'a\u200b@example.com',
      'a@exämple.de',
      'a@-example.com',
      'a@example.com.',
      `${'a'.repeat(65)}@example.com`,
    ],
    ...[`a@${'b'.repeat(250)}.com`, `${'ä'.repeat(33)}@example.com`],
  ];
  for (const address of good) t.ok(isMailAddress(address), address);
  for (const address of bad) {
    t.notOk(isMailAddress(address), JSON.stringify(address));
    t.throws(() => composeMail({ ...content, to: address }, from), TypeError);
  }
  t.end();
});

test('takes every canonical address of an account', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.emailAddress(),
        fc.string({ unit: 'grapheme' }).map((text) => `${text}@example.com`),
      ),
      (typed) => {
        const parsed = parseEmailAddress(typed);
        return 'problem' in parsed || isMailAddress(parsed.canonical);
      },
    ),
    { numRuns: 2_000 },
  );
  t.end();
});

test('a mail goes to the envelope’s one recipient, whatever its text says', (t) => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('x\r\nBcc: eve@evil.example', 'To: eve@evil.example'),
  );
  fc.assert(
    fc.property(hostile, hostile, (subject, text) => {
      const mail = composeMail({ ...content, to: 'ada@example.com', subject, text }, from);
      return (
        mail.envelope.from === from.address &&
        String(mail.envelope.to) === 'ada@example.com' &&
        mail.to.name === ''
      );
    }),
  );
  t.end();
});

test('reads the sender in its parts', (t) => {
  t.strictSame(parseSender('club@club.example'), { name: '', address: 'club@club.example' });
  t.strictSame(parseSender('The Club <club@club.example>'), {
    name: 'The Club',
    address: 'club@club.example',
  });
  t.end();
});
