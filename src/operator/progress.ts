import type { WriteStream } from 'node:tty';

/** Tells people on a terminal how far long work is. */
export type Progress = {
  update(text: string): void;
  /** Takes the text away. */
  end(): void;
};

const SILENT: Progress = { update() {}, end() {} };

/** @param stream where it is shown; nothing is written to one that is not a terminal, such as a pipe */
export async function openProgress(
  stream: Pick<WriteStream, 'isTTY'> & NodeJS.WritableStream,
): Promise<Progress> {
  if (!stream.isTTY) return SILENT;
  // Loaded only where it is shown.
  const { default: ora } = await import('ora');
  // Standard input may be the file that is read.
  const spinner = ora({ stream, isEnabled: true, discardStdin: false }).start();
  return {
    update(text) {
      spinner.text = text;
    },
    end: () => void spinner.stop(),
  };
}
