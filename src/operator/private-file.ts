import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommandLineError } from './command-line-error.ts';

/** A file that only its owner reads. It gets its name when it is whole: until then it has another one. */
export type PrivateFile = {
  /** @throws what the file system says, such as that the disk is full */
  append(text: string): void;
  /** Writes all of it to the disk under `path`, where another file may be replaced. */
  keep(path: string): void;
  /** Takes it away. */
  drop(): void;
};

const BUFFERED_CHARACTERS = 256 * 1024;

/**
 * @param path the name that it will have: the draft stands beside it
 * @throws CommandLineError when its folder is not there, and what else the file system says
 */
export function createPrivateFile(path: string): PrivateFile {
  if (!existsSync(dirname(path))) throw new CommandLineError(`${path}: there is no such folder.`);
  const draft = `${path}.${process.pid}.part`;
  rmSync(draft, { force: true });
  const file = openSync(draft, 'wx', 0o600);
  let buffered = '';
  const flush = () => {
    writeAll(file, Buffer.from(buffered));
    buffered = '';
  };
  return {
    append(text) {
      buffered += text;
      if (buffered.length > BUFFERED_CHARACTERS) flush();
    },
    keep(path) {
      flush();
      fsyncSync(file);
      closeSync(file);
      renameSync(draft, path);
    },
    drop() {
      closeSync(file);
      rmSync(draft, { force: true });
    },
  };
}

/** One call may write less than all. */
function writeAll(file: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}

/** The path, or the first of `path-2`, `path-3`, … that no file has. */
export function freePath(path: string, number = 1): string {
  const name = number === 1 ? path : `${path}-${number}`;
  return existsSync(name) ? freePath(path, number + 1) : name;
}
