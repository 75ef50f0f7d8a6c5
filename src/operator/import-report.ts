import type { Verdict } from '../imports/import-users.ts';
import { createPrivateFile, freePath, type PrivateFile } from './private-file.ts';

/** What an import did: plain JSON. */
export type ImportSummary = {
  file: string;
  from: string;
  dry_run: boolean;
  /** Records that were dealt with, those that were skipped included. */
  read: number;
  created: number;
  unchanged: number;
  rejected: number;
  /** How many records were no users, by what they are. */
  no_users: Record<string, number>;
  /** How many of the users that were taken had something that was not brought along, by what it is. */
  left_out: Record<string, number>;
  /** Where the rejected records are. */
  rejected_file: string | null;
  /** Whether the file was read to its end. */
  complete: boolean;
};

type Counts = Pick<ImportSummary, 'created' | 'unchanged' | 'rejected' | 'no_users' | 'left_out'>;

export type ReportFiles = {
  /** The file of rejected records: its name, or others that start with it if that one is taken. */
  rejected: string;
  /** A file with one line of JSON for each record. */
  all: string | undefined;
};

/** How many reasons are shown. All of them are in the file. */
const MOST_SHOWN = 20;

const MOST_CHARACTERS = 1_000;

/**
 * Counts what becomes of the records, and writes down those that were rejected so that they can be given again.
 * @param counted what the number of a record counts, such as lines
 * @param show a line for people
 */
export function createImportReport(files: ReportFiles, counted: string, show: (line: string) => void) {
  const counts: Counts = { created: 0, unchanged: 0, rejected: 0, no_users: {}, left_out: {} };
  const all = files.all === undefined ? null : createPrivateFile(files.all);
  let rejected: PrivateFile | null = null;

  return {
    counts,

    add(verdict: Verdict): void {
      const { line, outcome, reasons, leftOut } = verdict;
      all?.append(jsonLine({ line, outcome, reasons, left_out: leftOut }));
      for (const what of leftOut) count(counts.left_out, what);
      if (outcome === 'no_user') for (const what of reasons) count(counts.no_users, what);
      else counts[outcome] += 1;
      if (outcome === 'rejected') reject(verdict);
    },

    /** @returns the name of the file of rejected records, if there are any */
    close(): string | null {
      if (files.all !== undefined) all?.keep(files.all);
      if (rejected === null) return null;
      const path = freePath(files.rejected);
      rejected.keep(path);
      return path;
    },
  };

  function reject({ line, from, reasons, source }: Verdict): void {
    rejected ??= createPrivateFile(files.rejected);
    rejected.append(jsonLine({ line, from, reasons, record: source }));
    if (counts.rejected <= MOST_SHOWN) show(`${counted} ${line}: ${printable(reasons.join(' '))}`);
    if (counts.rejected === MOST_SHOWN)
      show('The reasons of further ones are only in the file of rejected records.');
  }
}

/** Names of members and roles stand in reasons: a file must not steer the terminal, nor fill it. */
function printable(reason: string): string {
  return reason.slice(0, MOST_CHARACTERS).replace(/\p{C}/gu, '\ufffd');
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

/** The summary for people. */
export function summaryText(summary: ImportSummary): string {
  const { created, unchanged, rejected, read, rejected_file, dry_run } = summary;
  const more = [
    ...Object.entries(summary.no_users).map(([what, number]) => `Passed over, ${what}: ${number}`),
    ...Object.entries(summary.left_out).map(
      ([what, number]) => `Not brought along, ${what}: of ${number} users`,
    ),
    ...(rejected_file === null
      ? []
      : [`Correct what was rejected in ${rejected_file}, and import that file.`]),
    ...(dry_run ? ['This was a dry run: nothing was changed.'] : []),
    ...(summary.complete ? [] : [notComplete(read)]),
  ];
  const head = `Records read: ${read}. Created: ${created}, already here: ${unchanged}, rejected: ${rejected}.`;
  return `${[head, ...more].join('\n')}\n`;
}

function notComplete(read: number): string {
  return `Stopped after ${read} records. Run the same again: what is here already is left alone. --skip ${read} passes over those that were read.`;
}
