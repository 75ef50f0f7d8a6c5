import { NIL } from 'uuid';

const READ_AT_ONCE = 1_000;

/**
 * All items of a list, however long, a part at a time.
 * @param list items in the order of their ids, at most `limit`, those after the id
 */
export async function* inParts<Item extends { id: string }>(
  list: (limit: number, after: string) => Promise<Item[]>,
): AsyncGenerator<Item[]> {
  let after: string | undefined = NIL;
  while (after !== undefined) {
    const part: Item[] = await list(READ_AT_ONCE, after);
    yield part;
    after = part[READ_AT_ONCE - 1]?.id;
  }
}
