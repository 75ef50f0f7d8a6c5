import { type Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../config/config.ts';
import { duration } from '../config/config-formats.ts';
import { ORIGIN_NAMES, type OriginName } from '../imports/origin-names.ts';
import { print, say } from './table.ts';

type ImportOptions = {
  from: OriginName | 'auto';
  hashConfig?: string;
  withoutPasswords?: boolean;
  dryRun?: boolean;
  skip: number;
  wait: string;
  rejected?: string;
  report?: string;
  json?: boolean;
};

/** The exit code when some records were rejected. */
const SOME_REJECTED = 2;

async function importUsers(file: string, options: ImportOptions): Promise<void> {
  // Other commands must not wait until all of this is loaded.
  const [{ runImport }, { summaryText }] = await Promise.all([
    import('./import-run.ts'),
    import('./import-report.ts'),
  ]);
  const { from, hashConfig, withoutPasswords = false, dryRun = false, skip, rejected, report } = options;
  const waitMs = wait.decode(options.wait);
  const stop = new AbortController();
  const onSignal = stop.abort.bind(stop);
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const wish = { file, from, hashConfig, withoutPasswords, dryRun, skip, waitMs, rejected, report };
  const { summary, trouble } = await runImport(loadConfig(process.env), wish, stop.signal);
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  print(summary, options, summaryText);
  if (trouble !== null) say(trouble);
  if (!summary.complete) process.exitCode = 1;
  else if (summary.rejected > 0) process.exitCode = SOME_REJECTED;
}

const wait = duration('0s', '1d');

function readWait(text: string): string {
  if (!wait.accepts(text)) throw new InvalidArgumentError(`Expected ${wait.expects}.`);
  return text;
}

function readCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

/** `doorward users import`. */
export function addImport(users: Command): void {
  users
    .command('import <file>')
    .description(
      'take users of another system, or of an export, with their password hashes; `-`: standard input',
    )
    .addOption(
      new Option('--from <system>', 'the system that wrote the file')
        .choices(['auto', ...ORIGIN_NAMES])
        .default('auto'),
    )
    .option('--hash-config <file>', 'JSON with the hash_config of a Firebase project')
    .option('--without-passwords', 'leave the hashes out: users set a new password by mail')
    .option('--dry-run', 'say what would happen, and change nothing')
    .option('--skip <count>', 'pass over so many records, which an earlier run has read', readCount, 0)
    .option('--wait <time>', 'how long to wait for a database that is away', readWait, '5m')
    .option('--rejected <file>', 'where to write rejected records, instead of beside the file')
    .option('--report <file>', 'write what became of each record, a line of JSON for each')
    .option('--json', 'for programs')
    .action(importUsers);
}
