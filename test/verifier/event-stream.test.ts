import fc from 'fast-check';
import { test } from 'tap';
import { readEvents, type StreamEvent } from '../../src/verifier/event-stream.ts';

const unbounded = (_type: string) => Number.POSITIVE_INFINITY;

/** The events of a text whose bytes come in these pieces. */
async function eventsOf(pieces: (string | Uint8Array)[], maxLength = unbounded): Promise<StreamEvent[]> {
  const encoder = new TextEncoder();
  async function* chunks() {
    for (const piece of pieces) yield typeof piece === 'string' ? encoder.encode(piece) : piece;
  }
  const events: StreamEvent[] = [];
  for await (const event of readEvents(chunks(), maxLength)) events.push(event);
  return events;
}

const event = (changes: Partial<StreamEvent>): StreamEvent => ({
  type: 'message',
  data: '',
  lastEventId: '',
  retryMs: null,
  ...changes,
});

test('reads fields as the standard says', async (t) => {
  const cases: [text: string, events: StreamEvent[]][] = [
    ['data: a\n\n', [event({ data: 'a' })]],
    ['data:a\n\n', [event({ data: 'a' })]],
    ['data:  a\n\n', [event({ data: ' a' })]],
    ['data: a:b\n\n', [event({ data: 'a:b' })]],
    ['data: a\ndata: b\n\n', [event({ data: 'a\nb' })]],
    ['data\n\n', [event({})]],
    ['data\ndata\n\n', [event({ data: '\n' })]],
    [': a comment\n\n', []],
    [':\ndata: a\n:\n\n', [event({ data: 'a' })]],
    ['event: beat\ndata: a\n\ndata: b\n\n', [event({ type: 'beat', data: 'a' }), event({ data: 'b' })]],
    ['event: beat\n\ndata: a\n\n', [event({ data: 'a' })]],
    ['event\ndata: a\n\n', [event({ data: 'a' })]],
    [
      'id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n',
      [event({ data: 'a', lastEventId: '1' }), event({ data: 'b', lastEventId: '1' }), event({ data: 'c' })],
    ],
    ['id: 1\n\ndata: a\n\n', [event({ data: 'a', lastEventId: '1' })]],
    ['id: 1\nid: 2\0\ndata: a\n\n', [event({ data: 'a', lastEventId: '1' })]],
    ['retry: 1000\n\ndata: a\n\n', [event({ data: 'a', retryMs: 1000 })]],
    ['retry: 1s\nretry: -1\nretry\ndata: a\n\n', [event({ data: 'a' })]],
    ['other: a\ndata: b\n\n', [event({ data: 'b' })]],
    ['Data: a\n\n', []],
    [' data: a\n\n', []],
    ['data: a\n', []],
    ['data: a', []],
    ['', []],
    ['\uFEFFdata: a\n\n', [event({ data: 'a' })]],
    ['data: a\n\n\uFEFFdata: b\n\n', [event({ data: 'a' })]],
    ['data: \u{1F511}\n\n', [event({ data: '\u{1F511}' })]],
  ];
  for (const [text, events] of cases) t.strictSame(await eventsOf([text]), events, JSON.stringify(text));
});

test('finds the same events wherever the bytes are cut, and whatever ends the lines', async (t) => {
  const lines = [
    '\uFEFFevent: beat',
    'id: 1',
    'data: ä\u{1F511}',
    ': c',
    'retry: 5',
    'data: b',
    '',
    'data: c',
    '',
    '',
  ];
  const expected = [
    event({ type: 'beat', data: 'ä\u{1F511}\nb', lastEventId: '1', retryMs: 5 }),
    event({ data: 'c', lastEventId: '1', retryMs: 5 }),
  ];
  const ends = fc.array(fc.constantFrom('\n', '\r', '\r\n'), {
    minLength: lines.length,
    maxLength: lines.length,
  });
  const cuts = fc.array(fc.nat({ max: 100 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(ends, cuts, async (lineEnds, places) => {
      // CR and LF that meet between two lines would be one end.
      const clean = lineEnds.map((end, index) =>
        end === '\n' && lineEnds[index - 1] === '\r' ? '\r\n' : end,
      );
      const bytes = new TextEncoder().encode(lines.map((line, index) => line + clean[index]).join(''));
      const sorted = [0, ...places.sort((a, b) => a - b), bytes.length];
      const pieces = sorted.slice(1).map((end, index) => bytes.slice(sorted[index], end));
      t.strictSame(await eventsOf(pieces), expected);
    }),
    { numRuns: 200 },
  );
});

test('refuses an event that is longer than its type may be, finished or not', async (t) => {
  const limit = (type: string) => (type === 'large' ? 100 : 10);
  const good = ['data: 123456789\n\n', `event: large\ndata: ${'x'.repeat(99)}\n\n`, `data: 1\n\n`.repeat(50)];
  for (const text of good) t.ok((await eventsOf([text], limit)).length > 0, text);
  const endless = Array<string>(20).fill('x');
  const bad = [
    ['data: 1234567890\n\n'],
    ['data: 12345\ndata: 12345\n\n'],
    ['data: ', ...endless],
    [': ', ...endless],
    endless,
    ['event: large\ndata: ', ...Array<string>(200).fill('x')],
    ['event: large\ndata: ', ...Array<string>(50).fill('x'), '\n', 'event: small\n'],
    Array<string>(200).fill('data\n'),
  ];
  for (const pieces of bad)
    await t.rejects(eventsOf(pieces, limit), {
      kind: 'content',
      message: /^sends an event of more than 10+ /,
    });
});

test('stops the bytes when the reader stops', async (t) => {
  let [isStopped, count] = [false, 0];
  async function* chunks() {
    try {
      for (;;) {
        count += 1;
        yield new TextEncoder().encode('data: a\n\n');
      }
    } finally {
      isStopped = true;
    }
  }
  for await (const { data } of readEvents(chunks(), unbounded)) {
    t.equal(data, 'a');
    break;
  }
  t.ok(isStopped);
  t.equal(count, 1);
});

test('a line of many megabytes in small pieces is read in linear time', async (t) => {
  const piece = 'x'.repeat(1024);
  const startedAt = performance.now();
  const [found] = await eventsOf(['data: ', ...Array<string>(20_000).fill(piece), '\n\n']);
  t.equal(found?.data.length, 20_000 * 1024);
  // Quadratic, it took minutes.
  t.ok(performance.now() - startedAt < 10_000);
});
