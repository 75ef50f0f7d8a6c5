import { UnusableAnswer } from './fetch-document.ts';

/** An event of a stream (WHATWG HTML §9.2). */
export type StreamEvent = {
  type: string;
  data: string;
  /** The last `id` that was sent, with this event or before it. */
  lastEventId: string;
  /** The last `retry` that was sent, in milliseconds. */
  retryMs: number | null;
};

const LINE_END = /\r\n|\n|\r/;

/**
 * Reads `text/event-stream`. When the reader stops, so do the chunks. An event that the end cuts off is dropped (§9.2.6).
 * @param chunks of bytes, cut anywhere
 * @param maxLength how many characters an event of a type may have. Its type counts from the line on that names it
 * @throws UnusableAnswer for an event that is longer
 */
export async function* readEvents(
  chunks: AsyncIterable<Uint8Array>,
  maxLength: (type: string) => number,
): AsyncGenerator<StreamEvent, void, void> {
  const lines = createLines();
  const events = createEvents();
  // It also removes a byte order mark.
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    for (const line of lines.push(decoder.decode(chunk, { stream: true }))) {
      const event = events.push(line);
      if (event) yield event;
      else check(events.length());
    }
    check(events.length() + lines.unfinished());
  }

  function check(length: number): void {
    if (length > maxLength(events.type()))
      throw new UnusableAnswer(
        'content',
        `sends an event of more than ${maxLength(events.type())} characters`,
      );
  }
}

/** Cuts a text that comes in pieces into lines, which end in CR, LF or both. */
function createLines() {
  let rest = '';
  let isAfterCarriageReturn = false;
  return {
    unfinished: () => rest.length,
    /** The lines that this piece completes. */
    push(piece: string): string[] {
      if (piece === '') return [];
      const text = isAfterCarriageReturn && piece.startsWith('\n') ? piece.slice(1) : piece;
      isAfterCarriageReturn = piece.endsWith('\r');
      // Only the piece is split, or a long line would be searched again with each of them.
      const [first, ...others] = text.split(LINE_END) as [string, ...string[]];
      const lines = [rest + first, ...others];
      rest = lines.pop() as string;
      return lines;
    },
  };
}

/** Puts lines together to events (§9.2.6). */
function createEvents() {
  let [type, lastEventId] = ['', ''];
  let retryMs: number | null = null;
  let data: string[] = [];
  let length = 0;

  return { type: () => type || 'message', length: () => length, push };

  /** The event that a blank line ends, if it has data. */
  function push(line: string): StreamEvent | null {
    if (line === '') return dispatch();
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) as string[] as [string, string, string?];
    if (name === 'event') type = value;
    if (name === 'data') {
      data.push(value);
      length += value.length + 1;
    }
    if (name === 'id' && !value.includes('\0')) lastEventId = value;
    if (name === 'retry' && /^\d+$/.test(value)) retryMs = Number(value);
    return null;
  }

  function dispatch(): StreamEvent | null {
    const event = { type: type || 'message', data: data.join('\n'), lastEventId, retryMs };
    const isEmpty = data.length === 0;
    [type, data, length] = ['', [], 0];
    return isEmpty ? null : event;
  }
}
