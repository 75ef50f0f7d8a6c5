import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { type AuditQuery, type ListedEvent, MOST_LISTED } from '../audit/audit-listing.ts';
import { loadConfig } from '../config/config.ts';
import { eventsFrom, followEvents } from './audit-stream.ts';
import { CommandLineError } from './command-line-error.ts';
import { createCommandPatience } from './command-patience.ts';
import { openCommands, runCommand } from './run-command.ts';
import { streaming } from './streaming.ts';
import { print, say, table } from './table.ts';
import { visible, visibleJson } from './visible.ts';

const LOOK_EVERY_MS = 1_000;

type Filters = Pick<AuditQuery, 'actor' | 'subject' | 'kind' | 'since' | 'until'>;
type ListOptions = Filters & { limit: string; json?: boolean };
type TailOptions = Filters & { lines: string; follow?: boolean; json?: boolean };

async function listEvents({ limit, json, ...filters }: ListOptions): Promise<void> {
  const query = { ...filters, limit: numberOf('--limit', limit) };
  const answer = await runCommand(loadConfig(process.env), 'audit.list', query);
  print(answer, { json }, ({ events }) => (events.length === 0 ? 'Nothing.\n' : eventTable(events)));
}

async function exportEvents(query: Filters & { after?: string }): Promise<void> {
  await streamEvents(0, async function* (list) {
    for await (const events of eventsFrom(list, query)) yield events.map(toJsonLine).join('');
  });
}

async function tailEvents({ lines, follow = false, json = false, ...filters }: TailOptions): Promise<void> {
  const count = numberOf('--lines', lines);
  const write = json ? toJsonLine : toLine;
  // Whoever follows wants to see what comes after an outage, however long that is.
  await streamEvents(follow ? Number.POSITIVE_INFINITY : 0, async function* (list, signal) {
    const wait = async () => follow && delay(LOOK_EVERY_MS, true, { signal }).catch(() => false);
    for await (const events of followEvents(list, filters, count, wait)) yield events.map(write).join('');
  });
}

type Read = (
  list: (query: AuditQuery) => ReturnType<typeof runCommand<'audit.list'>>,
  signal: AbortSignal,
) => AsyncGenerator<string>;

/**
 * Writes as fast as the reader takes it. Ends when that one has gone, and at a signal.
 * @param waitMs how long the database may be away
 */
async function streamEvents(waitMs: number, read: Read): Promise<void> {
  const commands = await openCommands(loadConfig(process.env));
  streaming.isOn = true;
  const ending = new AbortController();
  const end = () => ending.abort();
  process.once('SIGINT', end);
  process.stdout.once('error', end);
  const withPatience = createCommandPatience(commands, { waitMs, ended: ending.signal, say });
  const list = (query: AuditQuery) => withPatience(() => commands.run('audit.list', query));
  try {
    for await (const text of read(list, ending.signal)) {
      if (ending.signal.aborted) break;
      if (!process.stdout.write(text)) await once(process.stdout, 'drain', ending).catch(end);
    }
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', end);
    process.stdout.off('error', end);
    await commands.close();
  }
}

function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0 && number <= MOST_LISTED) return number;
  throw new CommandLineError(`${option} is ${JSON.stringify(text)}: give a number from 0 to ${MOST_LISTED}.`);
}

function toJsonLine(event: ListedEvent): string {
  return `${visibleJson(event)}\n`;
}

const cellsOf = ({ happened_at, kind, user_id, actor, ip, details }: ListedEvent) => [
  happened_at,
  kind,
  user_id ?? '-',
  actor.id ?? actor.kind ?? '-',
  ip ?? '-',
  details === null ? '' : JSON.stringify(details),
];

function toLine(event: ListedEvent): string {
  return `${cellsOf(event).map(visible).join('  ').trimEnd()}\n`;
}

function eventTable(events: ListedEvent[]): string {
  return table(['TIME', 'KIND', 'USER', 'BY', 'NETWORK', 'DETAILS'], events.map(cellsOf));
}

function withFilters(command: Command): Command {
  return command
    .option('--actor <id>', 'who did it: a user or a client by id, or "operator" or "server"')
    .option('--subject <id>', 'the user that it happened to')
    .option('--kind <kind>', 'what happened, such as session.started')
    .option('--since <instant>', 'from then on, such as 2026-11-27 or 2026-11-27T16:30:00Z')
    .option('--until <instant>', 'before then');
}

/** `doorward audit`. */
export function addAudit(program: Command): void {
  const audit = program.command('audit').description('the record of what happened');
  withFilters(audit.command('list'))
    .description('print events, the newest first')
    .option('--limit <number>', 'how many at most', '50')
    .option('--json', 'for programs')
    .action(listEvents);
  withFilters(audit.command('tail'))
    .description('print the last events, the newest last')
    .option('-n, --lines <number>', 'how many', '10')
    .option('-f, --follow', 'go on with what happens from now on')
    .option('--json', 'one JSON document a line')
    .action(tailEvents);
  withFilters(audit.command('export'))
    .description('write all events, the oldest first, as one JSON document a line')
    .option('--after <id>', 'go on behind this event, the last of an earlier export')
    .action(exportEvents);
}
