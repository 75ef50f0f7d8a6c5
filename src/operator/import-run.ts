import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { firebasePrefix, readHashConfig } from '../imports/firebase-hash.ts';
import { importUsers } from '../imports/import-users.ts';
import type { ImportedUser } from '../imports/imported-user.ts';
import type { Item } from '../imports/item.ts';
import type { OriginName } from '../imports/origin-names.ts';
import { originNamed } from '../imports/origins.ts';
import { COUNTED, type Container, readRecords } from '../imports/read-records.ts';
import { findOrigin } from '../imports/read-users.ts';
import { openSource, SourceError } from '../imports/source-bytes.ts';
import { CommandLineError } from './command-line-error.ts';
import { createCommandPatience } from './command-patience.ts';
import { explainError } from './explain-error.ts';
import { createImportReport, type ImportSummary } from './import-report.ts';
import { openProgress, type Progress } from './progress.ts';
import { type CommandSession, openCommands } from './run-command.ts';
import { say } from './table.ts';

export type ImportWish = {
  /** `-`: standard input. */
  file: string;
  from: OriginName | 'auto';
  /** A file with the hash_config of a Firebase project. */
  hashConfig?: string | undefined;
  withoutPasswords: boolean;
  dryRun: boolean;
  skip: number;
  /** How long a database may be away, in milliseconds. */
  waitMs: number;
  rejected?: string | undefined;
  report?: string | undefined;
};

/** What was found in the file. */
type Found = { from: OriginName; container: Container; items: AsyncGenerator<Item> };

/** The summary, and what ended the import early, for people; null: nothing did. */
export type ImportResult = { summary: ImportSummary; trouble: string | null };

/**
 * Imports a file: this process reads it, and the users go to where commands run.
 * @param ended ends it after the batch that is under way
 * @throws CommandLineError and what opening the database throws, before the first batch
 */
export async function runImport(config: Config, wish: ImportWish, ended: AbortSignal): Promise<ImportResult> {
  const prefix = wish.hashConfig === undefined ? null : readPrefix(wish.hashConfig);
  const found = await open(wish);
  if (found.from === 'firebase' && prefix === null && !wish.withoutPasswords)
    throw new CommandLineError(NO_HASH_CONFIG);
  const progress = await openProgress(process.stderr);
  const session = await openCommands(config);
  try {
    return await importFound(found, { wish, prefix, session, progress, ended });
  } finally {
    progress.end();
    await session.close();
  }
}

const NO_HASH_CONFIG =
  'The hashes of Firebase need the key of the project. Write its hash_config (Firebase console, Authentication, ' +
  'Users, ⋮, Password hash parameters) into a file, as it is there or as JSON, and name it with --hash-config FILE. ' +
  'With --without-passwords the users come without their passwords.';

/** @throws CommandLineError, which does not quote the file: it holds a key */
function readPrefix(file: string): string {
  const read = firebasePrefix(readHashConfig(textOf(file)));
  if ('prefix' in read) return read.prefix;
  throw new CommandLineError(`${file} is no hash_config of Firebase: ${read.problem}.`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandLineError(`${file} cannot be read (${Object(error).code}).`);
  }
}

/** @throws CommandLineError when the file cannot be read, or it is not known where it comes from */
async function open({ file, from }: ImportWish): Promise<Found> {
  try {
    const bytes = await openSource(file, process.stdin);
    const { container, items } = await readRecords(bytes, containerOf(from));
    const found = await findOrigin(items, container === 'csv');
    const origin = from === 'auto' ? found.from : from;
    if (origin === null)
      throw new SourceError('It is not known which system this comes from: name it with --from');
    say(`Reading ${file} as users of ${originNamed(origin).title}.`);
    return { from: origin, container, items: found.items };
  } catch (error) {
    throw new CommandLineError(`${file}: ${troubleOfFile(error)}.`, { cause: error });
  }
}

/** Where the name says it. */
function containerOf(from: ImportWish['from']): Container | undefined {
  return from === 'ndjson' ? 'lines' : undefined;
}

function troubleOfFile(error: unknown): string {
  return error instanceof SourceError ? error.message : `it cannot be read (${Object(error).code})`;
}

type Import = {
  wish: ImportWish;
  prefix: string | null;
  session: CommandSession;
  progress: Progress;
  ended: AbortSignal;
};

async function importFound({ from, container, items }: Found, parts: Import): Promise<ImportResult> {
  const { wish, prefix, progress, ended } = parts;
  const files = { rejected: rejectedPath(wish), all: wish.report };
  const report = createImportReport(files, COUNTED[container], say);
  const { file, withoutPasswords, skip, dryRun } = wish;
  const end = await importUsers(items, {
    ...{ from, withoutPasswords, skip, ended },
    context: { now: new Date(), firebasePrefix: prefix },
    send: createSend(parts),
    report(verdict) {
      report.add(verdict);
      progress.update(countsText(report.counts));
    },
  });
  const summary: ImportSummary = {
    ...{ file, from, dry_run: dryRun, read: end.read, ...report.counts },
    ...{ rejected_file: report.close(), complete: end.isComplete },
  };
  return { summary, trouble: end.cause === null ? null : troubleOf(end.cause) };
}

function troubleOf(error: unknown): string {
  return error instanceof SourceError ? `${error.message}.` : explainError(error, process.env);
}

function countsText({
  created,
  unchanged,
  rejected,
}: Record<'created' | 'unchanged' | 'rejected', number>): string {
  return `${created} created, ${unchanged} already here, ${rejected} rejected`;
}

/** Beside the file. What is rejected of a file of rejected records gets its name too, with a number. */
function rejectedPath({ file, rejected }: ImportWish): string {
  if (rejected !== undefined) return rejected;
  return file === '-' ? 'users.rejected' : `${file.replace(/\.rejected(-\d+)?$/, '')}.rejected`;
}

/** Sends a batch again and again while the database, or the server that has it, is away. */
function createSend({ session, wish: { waitMs, dryRun }, ended }: Import) {
  const withPatience = createCommandPatience(session, { waitMs, ended, say });
  return async (records: ImportedUser[]) => {
    const batch = { records, dry_run: dryRun };
    const { results } = await withPatience(() => session.run('users.import-batch', batch));
    return results;
  };
}
