/** G4: bytes on the wire, with HTTP's own. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { MeasuredProcess } from '../processes.ts';
import type { FeedPlace } from './feed-place.ts';
import type { Finding } from './finding.ts';

type Raw = { bytes: number; text: string };
type Part = { cursor: string; sessions: string; tokens: string; users: unknown[]; more?: true };

const IN_MEMORY_WITHIN_MS = 60_000;
const SHOWN_WITHIN_MS = 60_000;
const BYTES_A_HASH = 8;
/** A beat as it is sent, with the length and the end of its chunk if there are chunks (RFC 9112 §7.1). */
const BEAT = /(?:[0-9a-f]+\r\n)?event: beat\ndata: [^\n]*\n\n(?:\r\n)?/;

/** @param entries in the window */
export async function measureWire(place: FeedPlace, entries: number): Promise<Finding[]> {
  const server = await place.startReplica();
  await place.fillWindow(entries);
  const json = await untilWhole(server, entries);
  const stream = await readStream(server);
  await server.stop();
  const [beat = ''] = BEAT.exec(stream.text) ?? [];
  const window = stream.bytes - stream.text.slice(stream.text.search(BEAT)).length;
  const finding = (what: string, found: number, most: number, unit: string): Finding => {
    return { goal: 'G4', what, most, found, unit };
  };
  const mostMb = (entries * 12) / 1e6;
  return [
    finding('a revocation in the whole window, as JSON', json.bytes / entries, 12, 'bytes'),
    finding(`${entries} of them, as JSON`, json.bytes / 1e6, mostMb, 'MB'),
    finding('the same as a stream', window / 1e6, mostMb, 'MB'),
    finding('a beat, with what HTTP adds', beat === '' ? Number.NaN : Buffer.byteLength(beat), 120, 'bytes'),
  ];
}

/** Reads all parts of the window, once the server has taken all entries into its memory. */
async function untilWhole(server: MeasuredProcess, entries: number): Promise<{ bytes: number }> {
  const giveUpAt = performance.now() + IN_MEMORY_WITHIN_MS;
  while (performance.now() < giveUpAt) {
    const { bytes, count } = await readWindow(server);
    if (count === entries) return { bytes };
    await delay(500);
  }
  throw new Error(`the server does not show ${entries} entries`);
}

async function readWindow(server: MeasuredProcess): Promise<{ bytes: number; count: number }> {
  let [bytes, count, query]: [number, number, string | null] = [0, 0, ''];
  while (query !== null) {
    const answer = await exchange(server, `/revocations${query}`, 'application/json');
    const part: Part = JSON.parse(
      answer.text.slice(answer.text.indexOf('{'), answer.text.lastIndexOf('}') + 1),
    );
    bytes += answer.bytes;
    count += countOf(part);
    query = part.more ? `?after=${part.cursor}` : null;
  }
  return { bytes, count };
}

function countOf({ sessions, tokens, users }: Part): number {
  const hashes = Buffer.from(sessions, 'base64url').length + Buffer.from(tokens, 'base64url').length;
  return hashes / BYTES_A_HASH + users.length;
}

/** A whole stream until its first beat. */
function readStream(server: MeasuredProcess): Promise<Raw> {
  return exchange(server, '/revocations', 'text/event-stream', (text) => BEAT.test(text.slice(-2_000)));
}

/**
 * One request, and every byte of the answer.
 * @param isOver tells from what has come so far that no more is wanted
 */
async function exchange(
  { url }: MeasuredProcess,
  path: string,
  accept: string,
  isOver = (_text: string) => false,
): Promise<Raw> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setTimeout(SHOWN_WITHIN_MS, () => socket.destroy(new Error(`${path} does not end`)));
  const ending = accept === 'application/json' ? 'connection: close\r\n' : '';
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: ${accept}\r\n${ending}\r\n`);
  const chunks: string[] = [];
  socket.on('data', (bytes) => {
    chunks.push(bytes.toString('latin1'));
    if (isOver(chunks.slice(-4).join(''))) socket.destroy();
  });
  await once(socket, 'close');
  return { bytes: socket.bytesRead, text: chunks.join('') };
}
