type Waiting<Key, Value> = { key: Key; resolve(value: Value): void; reject(error: unknown): void };

/**
 * Makes a function that collects the calls of one turn of the event loop and answers them with one call of `loadAll`.
 * By hand: `dataloader` would save 20 lines and hardly any time, but it quotes the keys in its errors, and they may be secret.
 * @param loadAll returns one value per key, in the order of the keys; when it fails, every call of the batch fails
 * @param mostAtOnce the largest number of keys in one call
 */
export function createBatch<Key, Value>(
  loadAll: (keys: Key[]) => Promise<Value[]>,
  mostAtOnce: number,
): (key: Key) => Promise<Value> {
  let waiting: Waiting<Key, Value>[] = [];

  return (key) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(loadWaiting);
      waiting.push({ key, resolve, reject });
    });

  function loadWaiting(): void {
    const all = waiting;
    waiting = [];
    for (let at = 0; at < all.length; at += mostAtOnce) void answer(all.slice(at, at + mostAtOnce));
  }

  async function answer(batch: Waiting<Key, Value>[]): Promise<void> {
    try {
      const values = await loadAll(batch.map(({ key }) => key));
      for (const [at, { resolve }] of batch.entries()) resolve(values[at] as Value);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
