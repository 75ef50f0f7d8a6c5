/**
 * Makes a function that runs at most `atOnce` works at the same time. The others wait, and the one that has waited the
 * longest is next.
 */
export function createTurns(atOnce: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = atOnce;

  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // The turn goes to the next one directly: otherwise a newcomer could take it first.
      if (next) next();
      else free += 1;
    }
  };
}

/** Makes a function that runs the works of one key one after the other, in the order of the calls. */
export function createTurnsByKey<Key>(): <T>(key: Key, work: () => Promise<T>) => Promise<T> {
  const last = new Map<Key, Promise<unknown>>();

  return async (key, work) => {
    const mine = Promise.resolve(last.get(key)).then(work, work);
    last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (last.get(key) === mine) last.delete(key);
    }
  };
}
