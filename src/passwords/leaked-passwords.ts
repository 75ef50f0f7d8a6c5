import { createHash } from 'node:crypto';
import { channels, type LeakLookUpOutcome, tell } from '../core/channels.ts';
import { normalizePassword } from './password-policy.ts';

const DEADLINE_MS = 500;
/** Ten times what the public service answers with padding. */
const MAX_BYTES = 512 * 1024;
const PREFIX_LENGTH = 5;
const LINE = /^([0-9A-F]{35}):(\d+)$/i;

export type LeakedPasswords = {
  /** Whether there is somebody to ask. */
  isOn: boolean;
  /** Whether a password is known to be leaked. Also false when that cannot be known within half a second; never rejects. */
  isLeaked(password: string): Promise<boolean>;
};

/**
 * Asks the range API of Pwned Passwords, or a copy of it. Nothing but the first 20 bits of the password's SHA-1 is sent: the
 * answer is all hashes that begin so, and they are compared here. It is padded, so that its size does not tell which of them
 * were asked for.
 * @param baseUrl what stands before `/range/`; undefined: nobody is asked
 * @param deadlineMs for the whole answer
 */
export function createLeakedPasswords(
  baseUrl: string | undefined,
  deadlineMs = DEADLINE_MS,
): LeakedPasswords {
  if (baseUrl === undefined) return { isOn: false, isLeaked: async () => false };
  const rangeUrl = `${baseUrl.replace(/(\/range)?\/*$/, '')}/range/`;
  return {
    isOn: true,
    async isLeaked(password) {
      const outcome = await lookUp(rangeUrl, sha1Of(password), deadlineMs).catch(() => 'failed' as const);
      tell(channels.leakLookUp, { outcome });
      return outcome === 'leaked';
    },
  };
}

/** In hexadecimal. The lists are of this hash, which is enough to look a password up, and for nothing else. */
function sha1Of(password: string): string {
  return createHash('sha1').update(normalizePassword(password)).digest('hex').toUpperCase();
}

/** @throws when the answer is late, too long, or none */
async function lookUp(rangeUrl: string, sha1: string, deadlineMs: number): Promise<LeakLookUpOutcome> {
  const response = await fetch(`${rangeUrl}${sha1.slice(0, PREFIX_LENGTH)}`, {
    headers: { 'add-padding': 'true', accept: 'text/plain' },
    // A redirect is no answer: its target is not the one that the operator chose.
    redirect: 'manual',
    // For the body too.
    signal: AbortSignal.timeout(deadlineMs),
  });
  const lines = (await readText(response)).split(/\r?\n/).filter((line) => line !== '');
  if (response.status !== 200 || !lines.every((line) => LINE.test(line))) return 'failed';
  const rest = sha1.slice(PREFIX_LENGTH);
  // Padding has a count of 0.
  const isThere = lines.some((line) => line.toUpperCase().startsWith(rest) && !/:0+$/.test(line));
  return isThere ? 'leaked' : 'not_found';
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
}
