import type { FeedPart, RevocationFeed } from './revocation-feed.ts';

/** No longer than that, since a part says how old it is. */
const SHARED_MS = 100;

/**
 * Parts of the feed in the form that clients get. It is made once for all who ask for what comes after the same cursor: when
 * something happens, or after a replica has gone, that may be a thousand at once.
 */
export function createSharedParts<Form>(
  feed: Pick<RevocationFeed, 'answer'>,
  formOf: (part: FeedPart) => Form,
) {
  const shared = new Map<string | null, Promise<Form>>();

  return {
    /**
     * @param cursor null: the whole window
     * @throws AppError `unavailable`
     */
    after(cursor: string | null): Promise<Form> {
      const known = shared.get(cursor);
      if (known !== undefined) return known;
      const made = make(cursor);
      shared.set(cursor, made);
      setTimeout(() => shared.delete(cursor), SHARED_MS).unref();
      return made;
    },

    /** To be called when there is something new. */
    clear: () => shared.clear(),
  };

  /** For the last of those who share it, it is so much older. */
  async function make(cursor: string | null): Promise<Form> {
    const part = await feed.answer(cursor);
    return formOf({ ...part, ageMs: part.ageMs + SHARED_MS });
  }
}
