/** The database answered, but in a form that this code does not read. Says which form, and never the value. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';
}
