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

type CrowdLimits = {
  /** Works of one key at the same time. */
  atOnce: number;
  /** Others of the same key that may wait. */
  mostWaiting: number;
  /** Called in place of the work when that many wait already; rejects. */
  onFull(): Promise<never>;
};

/** Makes a function that runs some works of one key at the same time, lets some more wait, and refuses the rest. */
export function createBoundedTurns<Key>({ atOnce, mostWaiting, onFull }: CrowdLimits) {
  const crowds = new Map<Key, { inTurn: ReturnType<typeof createTurns>; size: number }>();

  return async <T>(key: Key, work: () => Promise<T>): Promise<T> => {
    const crowd = crowds.get(key) ?? { inTurn: createTurns(atOnce), size: 0 };
    if (crowd.size >= atOnce + mostWaiting) return onFull();
    crowds.set(key, crowd);
    crowd.size += 1;
    try {
      return await crowd.inTurn(work);
    } finally {
      crowd.size -= 1;
      if (crowd.size === 0) crowds.delete(key);
    }
  };
}
