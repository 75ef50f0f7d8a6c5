import { pipeline, Readable } from 'node:stream';
import { type CsvError, parse } from 'csv-parse';
import type { Item } from './item.ts';
import { LONGEST_RECORD_BYTES } from './read-lines.ts';
import { SourceError } from './source-bytes.ts';

type Row = { record: Record<string, string>; info: { lines: number } };

/**
 * Reads the rows of a CSV file under the names in its first line. Their number is that of the line in which they end: a
 * field may have several lines. Quotes inside of a field are taken as they are.
 * @param header the first line, to find out whether commas, semicolons or tabs are between the fields
 * @throws SourceError when a quote is not closed: it is not known how many rows are lost
 */
export async function* readCsv(source: AsyncIterable<Buffer>, header: string): AsyncGenerator<Item> {
  let lastLine = 1;
  const parser = parse({
    ...{ columns: trimmed, delimiter: delimiterOf(header), info: true, relax_quotes: true },
    ...{ skip_empty_lines: true, skip_records_with_error: true, max_record_size: LONGEST_RECORD_BYTES },
    on_skip: (error) => {
      // Into the stream of rows, so that it stays in its place.
      parser.push(skipped(error as CsvError));
      return undefined;
    },
  });
  // Its errors come out of the last stream.
  pipeline(Readable.from(source, { objectMode: false }), parser, () => {});
  for await (const row of parser) {
    if ('isUnclosed' in row) throw new SourceError(`After line ${lastLine} ${UNCLOSED}`);
    const item: Item = 'problem' in row ? row : itemOf(row);
    lastLine = item.line;
    yield item;
  }
}

const UNCLOSED =
  'a quote is opened and not closed, or a row is longer than 1 MiB. Correct it, and run the same again';

/** `isUnclosed`: what follows cannot be told apart from the row. */
function skipped({ code, lines, record }: CsvError): Item | { isUnclosed: true } {
  if (code !== 'CSV_RECORD_INCONSISTENT_COLUMNS') return { isUnclosed: true };
  // As a list: it is not known which column each field is of.
  return {
    line: Number(lines),
    problem: 'the row has more or fewer fields than the first line',
    raw: record,
  };
}

function trimmed(names: string[]): string[] {
  return names.map((name) => name.trim());
}

function itemOf({ record, info }: Row): Item {
  // What decoders write for bytes that are not UTF-8.
  const isDamaged = Object.values(record).some((field) => field.includes('\ufffd'));
  return isDamaged
    ? { line: info.lines, problem: 'the row is not UTF-8', raw: record }
    : { line: info.lines, record };
}

function delimiterOf(header: string): string {
  const count = (delimiter: string) => header.split(delimiter).length;
  return [',', ';', '\t'].reduce((most, next) => (count(next) > count(most) ? next : most));
}
