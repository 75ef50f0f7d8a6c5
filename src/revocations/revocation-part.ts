/** What is void: the tokens of a session, one token, a user's or a client's earlier tokens, those that a key signed. */
export type RevocationKind = 'session' | 'token' | 'user' | 'client' | 'key';

export type Revocation = {
  /** The place in the feed. */
  seq: number;
  kind: RevocationKind;
  /** 8 bytes of the hash of `sid`, `jti`, `sub` or `client_id`; for a key, its `kid`. */
  subject: Buffer;
  /** For a user the least valid claims version, for a client seconds since the epoch; less than 2^32. */
  value: number | null;
  /** When it was noted or numbered, whichever was later. Milliseconds since the epoch, by the database's clock. */
  revokedAt: number;
};

/** Called for one entry, in the order of the feed. The bytes of `hash` are valid during the call only. */
export type Visitor = (kind: RevocationKind, hash: Buffer, value: number, kid: string) => void;

export type RevocationPart = ReturnType<typeof createRevocationPart>;

/** A slot of 16 bits says which entry it leads to, and 0 says that it is free. */
export const MOST_IN_PART = 65_535;

const KINDS: RevocationKind[] = ['session', 'token', 'user', 'client', 'key'];
const FIRST_CAPACITY = 256;
const MOST_UINT32 = 0xffff_ffff;

/**
 * A stretch of the feed: 17 bytes an entry, and 4 to 8 for the index by hash. It is dropped as a whole, so that nothing is
 * ever moved or indexed anew for an entry that leaves.
 * @param first the revocation that it will begin with; to be added like all others
 */
export function createRevocationPart(first: Revocation) {
  const kids: string[] = [];
  let columns = makeColumns(FIRST_CAPACITY);
  let slots = new Uint16Array(2 * FIRST_CAPACITY);
  let count = 0;
  let newestAt = first.revokedAt;

  return {
    kids,
    count: () => count,
    lastSeq: () => seqOf(count - 1),
    /** The time of the newest entry. */
    newestAt: () => newestAt,
    /** Whether there is room for it. @param longestMs from the first entry on */
    takes: ({ seq, revokedAt }: Revocation, longestMs: number): boolean =>
      count < MOST_IN_PART && seq - first.seq <= MOST_UINT32 && revokedAt - first.revokedAt <= longestMs,

    add({ seq, kind, subject, value, revokedAt }: Revocation): void {
      if (count === columns.kinds.length) grow();
      columns.offsets[count] = seq - first.seq;
      columns.kinds[count] = KINDS.indexOf(kind);
      newestAt = Math.max(newestAt, revokedAt);
      if (kind === 'key') {
        columns.values[count] = kids.push(subject.toString()) - 1;
      } else {
        columns.values[count] = value ?? 0;
        columns.hashes[2 * count] = subject.readUInt32BE(0);
        columns.hashes[2 * count + 1] = subject.readUInt32BE(4);
        index(count);
      }
      count += 1;
    },

    /** Gives back the room for entries that will not come. */
    close(): void {
      columns = makeColumns(count, columns);
    },

    /** The value of an entry of this kind, the highest if there are several; undefined if there is none. */
    find(kind: RevocationKind, hash: Buffer): number | undefined {
      const slot = slotOf(KINDS.indexOf(kind), hash.readUInt32BE(0), hash.readUInt32BE(4));
      const entry = at(slots, slot);
      return entry === 0 ? undefined : at(columns.values, entry - 1);
    },

    /** The number of entries up to this place in the feed. */
    countUpTo(seq: number): number {
      let [low, high] = [0, count];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (seqOf(middle) <= seq) low = middle + 1;
        else high = middle;
      }
      return low;
    },

    seqOf,

    /** Shows the entries from one number to another, without the latter. */
    visit(from: number, to: number, visitor: Visitor): void {
      const hash = Buffer.alloc(8);
      for (let entry = from; entry < to; entry += 1) {
        const kind = KINDS[at(columns.kinds, entry)] as RevocationKind;
        const value = at(columns.values, entry);
        hash.writeUInt32BE(at(columns.hashes, 2 * entry), 0);
        hash.writeUInt32BE(at(columns.hashes, 2 * entry + 1), 4);
        visitor(kind, hash, value, kind === 'key' ? String(kids[value]) : '');
      }
    },
  };

  function seqOf(entry: number): number {
    return first.seq + at(columns.offsets, entry);
  }

  function grow(): void {
    const capacity = Math.min(2 * count, MOST_IN_PART);
    columns = makeColumns(capacity, columns);
    // At most half of the slots are taken: most look-ups find nothing, and end at the first free slot.
    slots = new Uint16Array(2 ** Math.ceil(Math.log2(2 * capacity)));
    for (let entry = 0; entry < count; entry += 1)
      if (KINDS[at(columns.kinds, entry)] !== 'key') index(entry);
  }

  function index(entry: number): void {
    const { kinds, hashes, values } = columns;
    const slot = slotOf(at(kinds, entry), at(hashes, 2 * entry), at(hashes, 2 * entry + 1));
    const other = at(slots, slot);
    if (other === 0 || at(values, other - 1) < at(values, entry)) slots[slot] = entry + 1;
  }

  /** The slot of an entry with this kind and hash, or the free one where it would be. */
  function slotOf(kind: number, high: number, low: number): number {
    const { kinds, hashes } = columns;
    // A hash is random in each of its bits, so it is its own place in the table.
    let slot = high & (slots.length - 1);
    for (let entry = at(slots, slot) - 1; entry >= 0; entry = at(slots, slot) - 1) {
      const isSame = at(hashes, 2 * entry) === high && at(hashes, 2 * entry + 1) === low;
      if (isSame && at(kinds, entry) === kind) return slot;
      slot = (slot + 1) & (slots.length - 1);
    }
    return slot;
  }
}

type Columns = {
  hashes: Uint32Array;
  kinds: Uint8Array;
  values: Uint32Array;
  /** From the first entry's place in the feed. */
  offsets: Uint32Array;
};

/** @param source whose entries are taken over, as far as there is room */
function makeColumns(capacity: number, source?: Columns): Columns {
  const columns = {
    hashes: new Uint32Array(2 * capacity),
    kinds: new Uint8Array(capacity),
    values: new Uint32Array(capacity),
    offsets: new Uint32Array(capacity),
  };
  if (source) {
    columns.hashes.set(source.hashes.subarray(0, 2 * capacity));
    columns.kinds.set(source.kinds.subarray(0, capacity));
    columns.values.set(source.values.subarray(0, capacity));
    columns.offsets.set(source.offsets.subarray(0, capacity));
  }
  return columns;
}

/** An index that is known to be within the array. */
function at(array: Uint8Array | Uint16Array | Uint32Array, index: number): number {
  return array[index] as number;
}
