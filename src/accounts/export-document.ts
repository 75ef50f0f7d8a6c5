/** What the document does not have, and why. */
const LEFT_OUT = [
  'The hashes of the password, of the cookies of sessions, and of codes: whoever gets this document could guess from them.',
  'Counts of wrong passwords, which are kept for minutes under the hash of an address.',
  'Mails that wait to be sent: they carry codes, and arrive in the mailbox.',
];

type Parts = AsyncIterable<object[]>;

/**
 * All that is held on a user as one JSON document, written piece by piece, so that its length does not matter. When the
 * database fails on the way, it ends in the middle, and is no JSON.
 */
export async function* writeExport(
  exportedAt: Date,
  user: object,
  lists: Record<string, Parts>,
): AsyncGenerator<string> {
  const head = { schema_version: 1, exported_at: exportedAt, left_out: LEFT_OUT, user: named(user) };
  yield JSON.stringify(head).slice(0, -1);
  for (const [name, parts] of Object.entries(lists)) {
    yield `,${JSON.stringify(name)}:[`;
    yield* writeItems(parts);
    yield ']';
  }
  yield '}\n';
}

async function* writeItems(parts: Parts): AsyncGenerator<string> {
  let separator = '';
  for await (const part of parts) {
    for (const item of part) {
      yield separator + JSON.stringify(named(item));
      separator = ',';
    }
  }
}

/** With the names of the members as everywhere in the API: `createdAt` is `created_at`. What is inside them stays. */
function named(row: object): object {
  const entries = Object.entries(row).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ]);
  return Object.fromEntries(entries);
}
