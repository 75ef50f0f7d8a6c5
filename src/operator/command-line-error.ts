/** Why a command cannot go on, as whoever typed it is told: the message says all, and no stack goes with it. */
export class CommandLineError extends Error {
  override readonly name = 'CommandLineError';
}
