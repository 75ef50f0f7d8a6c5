/** What is kept for a hash of 64 bits, given as two words: a value from 1 on, and until when. */
export type HashTable = ReturnType<typeof createHashTable>;

/** Each grows by itself, so that no growth takes long. A power of two. */
const PARTS = 64;
/** Bytes of a place: the hash, its value, and the second until which it is kept, which is 0 in an empty place. */
const PLACE = 16;
const LOW = 4;
const VALUE = 8;
const UNTIL = 12;
const FIRST_CAPACITY = 8;
const FULLEST = 0.75;
/** So that at least 0.53 of the places are taken after growing: 500,000 entries need 15 MB at most. */
const GROWTH = 1.4;
const WORDS = 2 ** 32;

type Part = { places: DataView; count: number };

/**
 * Open addressing with linear probing (Knuth, The Art of Computer Programming 6.4, algorithms L and R). An entry that is
 * removed leaves no mark: those behind it move up.
 */
export function createHashTable() {
  const parts = Array.from(
    { length: PARTS },
    (): Part => ({ places: emptyPlaces(FIRST_CAPACITY), count: 0 }),
  );
  const homeOf = createHomes();
  let size = 0;
  let sweeping = { part: 0, at: 0 };

  return {
    size: () => size,

    /** How many places there are, taken or empty. */
    capacity: (): number => parts.reduce((sum, { places }) => sum + places.byteLength / PLACE, 0),

    /** The value of a hash; 0 if there is none. */
    get(high: number, low: number): number {
      const { places } = partOf(high);
      return places.getUint32(seek(places, high, low) + VALUE);
    },

    /** Adds an entry, or raises its value and its time: neither is ever lowered. Both are from 1 to 2^32 - 1. */
    keep(high: number, low: number, value: number, until: number): void {
      const part = partOf(high);
      if ((part.count + 1) * PLACE > part.places.byteLength * FULLEST) grow(part);
      const { places } = part;
      const at = seek(places, high, low);
      if (places.getUint32(at + UNTIL) === 0) {
        places.setUint32(at, high);
        places.setUint32(at + LOW, low);
        part.count += 1;
        size += 1;
      }
      raise(places, at + VALUE, value);
      raise(places, at + UNTIL, until);
    },

    /** Drops entries that are kept until `now` or less. Goes on where it stopped the last time, and looks at `count` places. */
    sweep(now: number, count: number): void {
      for (let looked = 0; looked < count; looked += 1) sweepPlace(now);
    },
  };

  /** By other bits than those that choose the place have most influence on. */
  function partOf(high: number): Part {
    return parts[high & (PARTS - 1)] as Part;
  }

  /** Where the entry is, or would be. There is always an empty place. */
  function seek(places: DataView, high: number, low: number): number {
    let at = homeOf(places, high, low);
    while (places.getUint32(at + UNTIL) !== 0 && !isAt(places, at, high, low)) at = next(places, at);
    return at;
  }

  function grow(part: Part): void {
    const { places } = part;
    const larger = emptyPlaces(Math.ceil((places.byteLength / PLACE) * GROWTH));
    for (let at = 0; at < places.byteLength; at += PLACE) {
      if (places.getUint32(at + UNTIL) === 0) continue;
      copy(places, at, larger, seek(larger, places.getUint32(at), places.getUint32(at + LOW)));
    }
    part.places = larger;
  }

  function sweepPlace(now: number): void {
    const { part: index, at } = sweeping;
    const part = parts[index] as Part;
    if (at >= part.places.byteLength) {
      sweeping = { part: (index + 1) % PARTS, at: 0 };
      return;
    }
    const until = part.places.getUint32(at + UNTIL);
    // Otherwise another entry has moved here, which is looked at next.
    if (until === 0 || until > now) sweeping.at += PLACE;
    else remove(part, at);
  }

  /** Closes the hole with entries behind it, as far as they may stand there: not before their home. */
  function remove(part: Part, removed: number): void {
    const { places } = part;
    let hole = removed;
    for (let at = next(places, hole); places.getUint32(at + UNTIL) !== 0; at = next(places, at)) {
      const home = homeOf(places, places.getUint32(at), places.getUint32(at + LOW));
      if (distance(places, home, at) < distance(places, hole, at)) continue;
      copy(places, at, places, hole);
      hole = at;
    }
    places.setUint32(hole + VALUE, 0);
    places.setUint32(hole + UNTIL, 0);
    part.count -= 1;
    size -= 1;
  }
}

function emptyPlaces(capacity: number): DataView {
  return new DataView(new ArrayBuffer(capacity * PLACE));
}

/** Multiply-shift hashing with odd factors of its own, so that nobody can choose hashes that all want the same place. */
function createHomes() {
  const [first, second] = crypto
    .getRandomValues(new Uint32Array(2))
    .map((factor) => factor | 1) as unknown as [number, number];
  return (places: DataView, high: number, low: number): number => {
    const mixed = (Math.imul(high, first) + Math.imul(low, second)) >>> 0;
    return Math.floor((mixed * (places.byteLength / PLACE)) / WORDS) * PLACE;
  };
}

function isAt(places: DataView, at: number, high: number, low: number): boolean {
  return places.getUint32(at) === high && places.getUint32(at + LOW) === low;
}

function next(places: DataView, at: number): number {
  return at + PLACE < places.byteLength ? at + PLACE : 0;
}

/** How far it is to go forward, around the end. */
function distance(places: DataView, from: number, to: number): number {
  return to >= from ? to - from : to - from + places.byteLength;
}

function copy(from: DataView, at: number, to: DataView, there: number): void {
  for (let byte = 0; byte < PLACE; byte += 4) to.setUint32(there + byte, from.getUint32(at + byte));
}

function raise(places: DataView, at: number, value: number): void {
  if (value > places.getUint32(at)) places.setUint32(at, value);
}
