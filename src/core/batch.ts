type Waiting<Key, Value> = PromiseWithResolvers<Value> & { key: Key };

/**
 * A function that answers all calls of one turn of the event loop by one call of `loadAll`.
 * @param loadAll answers keys in their order; whoever waits hears of its failure
 * @param mostAtOnce of these, in one call
 */
export function createBatch<Key, Value>(
  loadAll: (keys: Key[]) => Promise<Value[]>,
  mostAtOnce: number,
): (key: Key) => Promise<Value> {
  let waiting: Waiting<Key, Value>[] = [];

  return (key) => {
    if (waiting.length === 0) setImmediate(loadWaiting);
    const one = { key, ...Promise.withResolvers<Value>() };
    waiting.push(one);
    return one.promise;
  };

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
