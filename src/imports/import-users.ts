import type { ImportedUser, ImportOutcome } from './imported-user.ts';
import type { Item } from './item.ts';
import { type Entry, type ReadOptions, readUser } from './read-users.ts';

/** What became of one record. */
export type Verdict = {
  line: number;
  from: string;
  outcome: ImportOutcome['outcome'] | 'no_user';
  /** Why it was rejected, or is no user. */
  reasons: string[];
  /** What of it was not brought along. */
  leftOut: string[];
  /** As it was read. */
  source: unknown;
};

export type ImportParts = ReadOptions & {
  /** Records at the start that an earlier run has dealt with. */
  skip: number;
  /** One outcome for each, in their order. A batch that is sent again changes nothing. */
  send(users: ImportedUser[]): Promise<ImportOutcome[]>;
  /** Called for each record, in their order, after its batch. */
  report(verdict: Verdict): void;
  /** Ends the import after the batch that is under way. */
  ended: AbortSignal;
};

/** Users in a batch: enough that the way to the database does not count, few enough to be undone quickly. */
const BATCH_USERS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;

/**
 * Sends the users of all items in batches; the next one is read while one is written. The memory that it needs does not
 * grow with their number.
 * @returns after all items, or when sending or reading failed; the batches before were reported then
 */
export async function importUsers(items: AsyncIterable<Item>, parts: ImportParts): Promise<ImportEnd> {
  const batches = batchesOf(items, parts);
  const end: ImportEnd = { read: parts.skip, isComplete: false, cause: null };
  let next = batches.next();
  try {
    for (;;) {
      const { value: batch, done } = await next;
      if (done) return { ...end, isComplete: true };
      if (parts.ended.aborted) break;
      next = batches.next();
      // It is awaited in the next round, which does not come if sending fails.
      next.catch(() => {});
      await sendBatch(batch, parts);
      end.read += batch.length;
    }
  } catch (error) {
    end.cause = error;
  }
  await batches.return(undefined);
  return end;
}

/** `cause`: why it cannot go on; null if that is no error. It may be run again. */
type ImportEnd = {
  /** How many records were dealt with, those skipped included. */
  read: number;
  isComplete: boolean;
  cause: unknown;
};

async function sendBatch(batch: Entry[], { send, report }: ImportParts): Promise<void> {
  const users = batch.flatMap((entry) => ('user' in entry ? [entry.user] : []));
  const outcomes = users.length > 0 ? await send(users) : [];
  let at = 0;
  for (const entry of batch) report(verdictOn(entry, () => outcomes[at++] ?? MISSING));
}

/** Cannot be: the service answers for each. */
const MISSING: ImportOutcome = { outcome: 'rejected', reasons: ['there was no answer for this record'] };

function verdictOn(entry: Entry, nextOutcome: () => ImportOutcome): Verdict {
  const { line, from, source } = entry;
  const told = { line, from, source, reasons: [], leftOut: [] };
  if ('reasons' in entry) return { ...told, outcome: 'rejected', reasons: entry.reasons };
  if ('noUser' in entry) return { ...told, outcome: 'no_user', reasons: [entry.noUser] };
  const { outcome, reasons = [] } = nextOutcome();
  return { ...told, outcome, reasons, leftOut: outcome === 'rejected' ? [] : entry.leftOut };
}

async function* batchesOf(items: AsyncIterable<Item>, parts: ImportParts): AsyncGenerator<Entry[]> {
  let [batch, bytes, seen]: [Entry[], number, number] = [[], 0, 0];
  for await (const item of items) {
    seen += 1;
    if (seen <= parts.skip) continue;
    const entry = readUser(item, parts);
    batch.push(entry);
    bytes += 'bytes' in entry ? entry.bytes : 0;
    if (batch.length < BATCH_USERS && bytes < BATCH_BYTES) continue;
    yield batch;
    [batch, bytes] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}
