/** A command cannot go on. The operator sees the message only, without a stack. */
export class CommandLineError extends Error {
  override readonly name = 'CommandLineError';
}
